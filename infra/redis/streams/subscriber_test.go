package streams_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/router"
)

// If Redis is unreachable when a handler subscribes, the subscription waits, and then
// declares all that the queue needs, also where a part of it exists from before.
func TestSubscriber_RedisUnreachable(t *testing.T) {
	t.Parallel()
	for _, ordered := range []bool{false, true} {
		t.Run(fmt.Sprint("ordered ", ordered), func(t *testing.T) {
			t.Parallel()
			srv := brokertest.StartRedis(t)
			s, ctx := redistest.OpenWith(t, redis.Config{URL: srv.URL()}), t.Context()
			known := router.Subscription{Topic: "user.commands", Types: []string{"CREATE_USER"}, Queue: "known", Ordered: ordered}
			if err := redistest.Subscriber(t, s, known).Declare(context.Background()); err != nil {
				t.Fatal(err)
			}
			known.Types = append(known.Types, "RENAME_USER")
			fresh := router.Subscription{Topic: "user.commands", Types: []string{"DELETE_USER"}, Queue: "fresh", Ordered: ordered}
			srv.Kill()
			outs := map[string]<-chan *message.Message{}
			for kind, cfg := range map[string]router.Subscription{"RENAME_USER": known, "DELETE_USER": fresh} {
				sub := redistest.Subscriber(t, s, cfg)
				outs[kind] = redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
				if events.CodeOf(sub.Ready()) != events.CodeUnavailable {
					t.Errorf("ready without Redis: %v", sub.Ready())
				}
			}
			srv.Start()
			for kind, out := range outs {
				redistest.Eventually(t, "a queue is bound to "+kind, func() bool {
					err := s.Publisher().Publish("user.commands", redistest.Message(kind, kind, "k"))
					if code := events.CodeOf(err); err != nil && code != events.CodeUnavailable && code != events.CodeUnhandled {
						t.Fatal(err)
					}
					return err == nil
				})
				msg := redistest.Next(t, out)
				if msg.UUID != kind {
					t.Errorf("got %s; want %s", msg.UUID, kind)
				}
				msg.Ack()
			}
		})
	}
}

// A poison queue is a stream that only receives what is published straight into it.
func TestSubscriber_QueueWithoutTopic(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		if has := redistest.Must[bool](t)(s.HasQueue(ctx, "q.poison")); has {
			t.Error("a queue that was never declared exists")
		}
		// What is published before there is a subscriber waits.
		if err := s.QueuePublisher().Publish("q.poison", message.NewMessage("1", []byte("one"))); err != nil {
			t.Fatal(err)
		}
		if has := redistest.Must[bool](t)(s.HasQueue(ctx, "q.poison")); has {
			t.Error("a queue without a subscriber exists")
		}
		sub := redistest.Must[router.Subscriber](t)(s.Subscriber(router.Subscription{Handler: "collector", Queue: "q.poison"}))
		out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(context.WithoutCancel(ctx), ""))
		for want := range 2 {
			msg := <-out
			if msg.UUID != fmt.Sprint(want+1) {
				t.Errorf("got %s, want %d", msg.UUID, want+1)
			}
			msg.Ack()
			if want == 0 {
				if err := s.QueuePublisher().Publish("q.poison", message.NewMessage("2", []byte("two"))); err != nil {
					t.Fatal(err)
				}
			}
		}
		if has := redistest.Must[bool](t)(s.HasQueue(ctx, "q.poison")); !has {
			t.Error("the queue does not exist")
		}
		if err := sub.Drain(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestSubscriber_CreatesALostGroupAgain(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "q"})
		out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
		for i, lose := range []func() error{
			func() error { return nil },
			func() error { return s.Client().XGroupDestroy(ctx, ns+":user.events", "q").Err() },
			func() error { return s.Client().Del(ctx, ns+":user.events", ns+":q").Err() },
		} {
			if err := lose(); err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprint("after ", i)
			if err := s.Publisher().Publish("user.events", redistest.Message(id, "A", "")); err != nil {
				t.Fatal(err)
			}
			// A group made again reads what is left of the stream from its beginning.
			for msg := redistest.Next(t, out); ; msg = redistest.Next(t, out) {
				msg.Ack()
				if msg.UUID == id {
					break
				}
			}
		}
	})
}
