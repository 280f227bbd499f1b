package streams_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/router"
)

func TestTrim_KeepsWhatSomeGroupHasNotAcknowledged(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("streams are trimmed every ten seconds")
	}
	url := brokertest.Redis(t)
	ns := redistest.Namespace(t, url)
	s, ctx, stream := redistest.OpenIn(t, url, ns), t.Context(), ns+":user.events"
	behind := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "behind"})
	fast := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "fast"})
	for _, sub := range []router.Subscriber{behind, fast} {
		if err := sub.Declare(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	var msgs []*message.Message
	for i := range 3000 {
		msgs = append(msgs, redistest.Message(fmt.Sprint(i), "A", ""))
	}
	if err := s.Publisher().Publish("user.events", msgs...); err != nil {
		t.Fatal(err)
	}
	all := redistest.Must[[]goredis.XMessage](t)(s.Client().XRange(ctx, stream, "-", "+").Result())
	// One group reads half of it and acknowledges all of that but one.
	half := redistest.Must[[]goredis.XStream](t)(s.Client().XReadGroup(ctx, &goredis.XReadGroupArgs{Group: "behind", Consumer: "c", Streams: []string{stream, ">"}, Count: 1500}).Result())
	const kept = 1200 // the place in the stream of the one that stays pending
	for i, m := range half[0].Messages {
		if i != kept {
			s.Client().XAck(ctx, stream, "behind", m.ID)
		}
	}
	// The other group acknowledges everything, upon which its subscriber trims the stream.
	out := redistest.Must[<-chan *message.Message](t)(fast.Subscribe(ctx, ""))
	for range msgs {
		redistest.Next(t, out).Ack()
	}
	deadline := time.After(time.Minute)
	for redistest.Must[int64](t)(s.Client().XLen(ctx, stream).Result()) == 3000 {
		select {
		case <-deadline:
			t.Fatal("nothing is trimmed")
		case <-time.After(50 * time.Millisecond):
		}
	}
	// Some of what could be removed stays, as trimming is approximate.
	left := redistest.Must[[]goredis.XMessage](t)(s.Client().XRange(ctx, stream, "-", "+").Result())
	if len(left) < len(all)-kept {
		t.Fatalf("%d entries are left; %d are pending or not yet read", len(left), len(all)-kept)
	}
	if diff := cmp.Diff(all[len(all)-len(left):], left); diff != "" {
		t.Errorf("what is left is not the end of the stream (-want +got):\n%s", diff)
	}
}

// After a burst, a topic that nothing more is published to shrinks to what some group has not
// acknowledged, here nothing. Redis trims whole nodes of a hundred entries.
func TestTrim_ShrinksAfterABurst(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("streams are trimmed every ten seconds")
	}
	url := brokertest.Redis(t)
	ns := redistest.Namespace(t, url)
	s, ctx, stream := redistest.OpenIn(t, url, ns), t.Context(), ns+":user.events"
	sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "q", Concurrency: 64})
	if err := sub.Declare(ctx); err != nil {
		t.Fatal(err)
	}
	const burst, batch = 100_000, 1000
	for n := range burst / batch {
		pipe := s.Client().Pipeline()
		for i := range batch {
			pipe.XAdd(ctx, &goredis.XAddArgs{Stream: stream, Values: []any{"type", "A", "id", fmt.Sprint(n, "-", i), "body", "{}"}})
		}
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
	}
	out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
	for range burst {
		redistest.Next(t, out).Ack()
	}
	redistest.Eventually(t, "the stream is short", func() bool {
		return redistest.Must[int64](t)(s.Client().XLen(ctx, stream).Result()) <= 200
	})
}
