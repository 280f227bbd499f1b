package streams_test

import (
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/router"
)

// Watermill's own suite for publishers and subscribers, on both kinds of Redis.
func TestTransport_WatermillSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite takes a minute")
	}
	redistest.OnEach(t, func(t *testing.T, url string) {
		// The publishers and subscribers of one test expect to meet.
		namespace := redistest.Namespace(t, url)
		inQueue := func(t *testing.T, queue string) (message.Publisher, message.Subscriber) {
			s := redistest.OpenIn(t, url, namespace)
			sub, err := s.Subscriber(router.Subscription{
				// The suite asks for an order over all messages, and also that others go
				// on while one fails a hundred times: one at a time, but without a key.
				Handler: "suite", Queue: queue, Concurrency: 1,
			})
			if err != nil {
				t.Fatal(err)
			}
			return s.Publisher(), sub
		}
		tests.TestPubSub(t, tests.Features{
			ConsumerGroups:                      true,
			GuaranteedOrderWithSingleSubscriber: true,
			Persistent:                          true,
			ForceShort:                          url != brokertest.Redis(t), // miniredis is slow
		}, func(t *testing.T) (message.Publisher, message.Subscriber) {
			return inQueue(t, strings.ReplaceAll(t.Name(), "/", "."))
		}, inQueue)
	})
}
