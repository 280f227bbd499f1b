package streams_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/router"
)

// A queue that is new to a topic gets nothing from before, also of a stream that is not
// trimmed, and one whose group was lost misses nothing.
func TestSubscriber_NewQueueBeginsAtTheEnd(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		declare := func(queue string) router.Subscriber {
			sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Types: []string{"A"}, Queue: queue})
			if err := sub.Declare(context.Background()); err != nil {
				t.Fatal(err)
			}
			return sub
		}
		old := declare("old")
		publishAll(t, s, "1", "2")
		added := declare("added")
		publishAll(t, s, "3")
		if err := s.Client().XGroupDestroy(ctx, ns+":user.events", "old").Err(); err != nil {
			t.Fatal(err)
		}
		publishAll(t, s, "4")
		for name, c := range map[string]struct {
			sub  router.Subscriber
			want []string
		}{"added": {added, []string{"3", "4"}}, "lost": {old, []string{"1", "2", "3", "4"}}} {
			out := redistest.Must[<-chan *message.Message](t)(c.sub.Subscribe(ctx, ""))
			for _, want := range c.want {
				msg := redistest.Next(t, out)
				if msg.UUID != want {
					t.Errorf("%s: got %s; want %s of %s", name, msg.UUID, want, c.want)
				}
				msg.Ack()
			}
		}
	})
}

// Events of a topic that nobody reads are not kept: nobody would ever trim them.
func TestPublisher_TopicThatNobodyReads(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		length := func(topic string) int64 {
			t.Helper()
			return redistest.Must[int64](t)(s.Client().XLen(ctx, ns+":"+topic).Result())
		}
		publishAll(t, s, "1")
		if n := length("user.events"); n != 0 {
			t.Errorf("%d events are kept that nobody receives", n)
		}
		if err := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "q"}).Declare(ctx); err != nil {
			t.Fatal(err)
		}
		// Nor must a group of somebody else miss anything.
		if err := s.Client().XGroupCreateMkStream(ctx, ns+":order.events", "foreign", "$").Err(); err != nil {
			t.Fatal(err)
		}
		for _, topic := range []string{"user.events", "order.events"} {
			if err := s.Publisher().Publish(topic, redistest.Message("2", "A", "k")); err != nil {
				t.Fatal(err)
			}
			if n := length(topic); n != 1 {
				t.Errorf("%s has %d entries; want 1", topic, n)
			}
		}
	})
}
