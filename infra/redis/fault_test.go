package redis_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
)

// The server is killed while commands are stored and messages consumed. What was
// confirmed is there afterwards, once; everything goes on by itself.
func TestStore_RedisIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	var states atomic.Int64
	s := redistest.OpenWith(t, redis.Config{URL: srv.URL(), OnState: func(up bool) {
		if !up {
			states.Add(1)
		}
	}})
	ctx := t.Context()
	sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "q"})
	out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
	var handled sync.Map
	var consumer sync.WaitGroup
	consumer.Go(func() {
		for msg := range out {
			handled.Store(msg.UUID, true)
			msg.Ack()
		}
	})

	const writers, each = 5, 100
	half := make(chan struct{})
	var reached atomic.Int64
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			id := fmt.Sprint("u", w)
			for v := range uint64(each) {
				a := redistest.Decision(id, events.NewID(), v, 1)
				store := func() error { _, err := s.Append(ctx, a); return err }
				tell := func() error { return s.Publisher().Publish("user.events", redistest.Message(a.Events[0].ID, "A", id)) }
				for _, do := range []func() error{store, tell} {
					for err := do(); err != nil; err = do() {
						if code := events.CodeOf(err); code != events.CodeUnavailable {
							t.Errorf("%s: %v", code, err)
							return
						}
						<-time.After(10 * time.Millisecond)
					}
				}
				if reached.Add(1) == writers*each/2 {
					close(half)
				}
			}
		})
	}
	<-half
	srv.Kill()
	redistest.Eventually(t, "the loss shows", func() bool { return s.Ready() != nil && sub.Ready() != nil })
	if _, err := s.Read(ctx, nil, 1, time.Minute); events.CodeOf(err) != events.CodeUnavailable {
		t.Errorf("a reader without Redis: %v", err)
	}
	srv.Start()
	all.Wait()
	redistest.Eventually(t, "all is well again", func() bool { return s.Ready() == nil && sub.Ready() == nil })
	if states.Load() == 0 {
		t.Error("OnState was not called when the connection was lost")
	}
	for w := range writers {
		h := redistest.Must[events.History](t)(s.Load(ctx, "user", fmt.Sprint("u", w), ""))
		if len(h.Events) != each || h.Version() != each {
			t.Errorf("writer %d: %d events to version %d", w, len(h.Events), h.Version())
		}
		for _, e := range h.Events {
			redistest.Eventually(t, "every message is handled", func() bool { _, ok := handled.Load(e.ID); return ok })
		}
	}
	if err := sub.Drain(ctx); err != nil {
		t.Error(err)
	}
	consumer.Wait()
}
