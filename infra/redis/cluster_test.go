package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
)

// Everything a store does also works where its keys lie on several nodes.
func TestStore_RedisCluster(t *testing.T) {
	t.Parallel()
	s := redistest.OpenWith(t, redis.Config{URL: brokertest.StartRedisCluster(t), Namespace: "ns"})
	ctx := t.Context()

	for i := range 100 {
		redistest.Must[events.Outcome](t)(s.Append(ctx, redistest.Decision(fmt.Sprint("u", i), events.NewID(), 0, 3)))
	}
	end := redistest.Must[events.Cursor](t)(s.End(ctx))
	if n := events.Cursor(nil).Behind(end); n != 300 {
		t.Errorf("%d events at the end %v; want 300", n, end)
	}
	if got := redistest.Must[[]events.Recorded](t)(s.Read(ctx, nil, 1000, time.Second)); len(got) != 300 {
		t.Errorf("%d events read; want 300", len(got))
	}
	if v := redistest.Must[events.History](t)(s.Load(ctx, "user", "u7", "x")).Version(); v != 3 {
		t.Errorf("version %d; want 3", v)
	}
	if got := redistest.Must[[]events.Recorded](t)(s.Read(ctx, end, 1000, 50*time.Millisecond)); len(got) != 0 {
		t.Errorf("%d events after the end", len(got))
	}
	redistest.Must[events.Checkpoint](t)(s.OpenCheckpoint(ctx, "r", "mine"))
	if err := s.SaveCheckpoint(ctx, events.CheckpointCommit{Role: "r", Token: "mine", To: end}); err != nil {
		t.Error(err)
	}
	if c := redistest.Must[events.Cursor](t)(s.Checkpoint(ctx, "r")); c.Behind(end) != 0 {
		t.Errorf("checkpoint %v; want %v", c, end)
	}
	if err := s.Commit(ctx, events.ProjectionCommit{Projection: "v", To: end, Put: []events.Row{{Key: "k", Data: json.RawMessage(`1`)}}}); err != nil {
		t.Error(err)
	}
	if rows := redistest.Must[[]events.Row](t)(s.List(ctx, "v", "", 10)); len(rows) != 1 {
		t.Errorf("rows %v", rows)
	}
	if err := s.DropProjection(ctx, "v"); err != nil {
		t.Error(err)
	}
	id := events.NewID()
	if err := s.Record(ctx, "h", id); err != nil || !redistest.Must[bool](t)(s.Seen(ctx, "h", id)) {
		t.Errorf("recorded (%v) and not seen", err)
	}
	led, done := false, context.Canceled
	if err := s.Lead(ctx, "role", func(context.Context) error { led = true; return done }); !errors.Is(err, done) || !led {
		t.Errorf("led: %v, %v", led, err)
	}

	for _, ordered := range []bool{false, true} {
		topic := fmt.Sprint("user.events.", ordered)
		sub := redistest.Subscriber(t, s, router.Subscription{Topic: topic, Queue: fmt.Sprint("q", ordered), Ordered: ordered})
		out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
		if err := s.Publisher().Publish(topic, redistest.Message("1", "A", "k"), redistest.Message("2", "A", "k")); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"1", "2"} {
			if got := redistest.Next(t, out); got.UUID != want {
				t.Errorf("got %s; want %s", got.UUID, want)
			} else {
				got.Ack()
			}
		}
		if err := s.QueuePublisher().Publish(fmt.Sprint("q", ordered), redistest.Message("3", "A", "k")); err != nil {
			t.Fatal(err)
		}
		redistest.Next(t, out).Ack()
		if err := sub.Drain(ctx); err != nil {
			t.Error(err)
		}
	}
}
