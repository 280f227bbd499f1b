package rabbitmq_test

import (
	"strconv"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

// A message that is never acknowledged ends in the poison queue, and is not redelivered forever.
func TestSubscriber_DeliveryLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *rabbitmq.Config) { c.DeliveryLimit = 2 })
	sub := b.subscriber()
	out := b.subscribe(sub)
	if err := b.broker.Publisher().Publish("user.events", created("1")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		receive(t, out)
		b.proxy.Cut()
	}
	eventually(t, "the message is in the poison queue", func() bool { return b.depth("q.poison") == 1 })
}

// What is prefetched and never delivered to a handler is requeued at every stop, and the
// broker counts that as a delivery; it must not end in the poison queue for that.
func TestSubscriber_RestartsDoNotPoison(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	begin := func() (router.Subscriber, <-chan *message.Message) {
		sub := b.subscriber(func(c *router.Subscription) { c.Key = func(*message.Message) string { return "one" } })
		return sub, b.subscribe(sub)
	}
	sub, out := begin()
	if err := b.broker.Publisher().Publish("user.events", created("1"), created("2")); err != nil {
		t.Fatal(err)
	}
	for range 25 {
		first := receive(t, out) // The other one waits in memory behind it.
		eventually(t, "both are received", func() bool { return b.depth("q") == 0 })
		first.Nack()
		if err := sub.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		sub, out = begin()
	}
	for _, want := range []string{"1", "2"} {
		msg := receive(t, out)
		if msg.UUID != want {
			t.Errorf("got message %s, want %s", msg.UUID, want)
		}
		if count, _ := strconv.Atoi(msg.Metadata["x-delivery-count"]); count <= 20 {
			t.Errorf("message %s was counted %d times, too few for this test to tell", want, count)
		}
		msg.Ack()
	}
}
