package redis_test

import (
	"context"
	"fmt"
	"strings"
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

func TestForgottenScriptsAreToldAgain(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	s, ctx := redistest.OpenWith(t, redis.Config{URL: srv.URL()}), t.Context()
	var writers sync.WaitGroup
	for w := range 10 {
		writers.Go(func() {
			id := fmt.Sprint("u", w)
			for v := range uint64(50) {
				if v%10 == 0 {
					s.Client().ScriptFlush(ctx)
				}
				if _, err := s.Append(ctx, redistest.Decision(id, events.NewID(), v, 1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	if n := events.Cursor(nil).Behind(redistest.Must[events.Cursor](t)(s.End(ctx))); n != 500 {
		t.Errorf("%d events; want 500", n)
	}
}

// The server is killed while commands are stored and messages consumed. What was
// confirmed is there afterwards, once; everything goes on by itself.
func TestRedisIsKilledAndComesBack(t *testing.T) {
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
		t.Error("nobody was told of the loss")
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

// A Redis out of memory answers readers all the time. That it takes nothing is told
// once, and so is that it does again.
func TestRedisOutOfMemory(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	var begun, ended atomic.Int64
	s := redistest.OpenWith(t, redis.Config{URL: srv.URL(), OnBlocked: func(is bool) {
		if is {
			begun.Add(1)
		} else {
			ended.Add(1)
		}
	}})
	ctx := t.Context()
	limit := func(bytes string) {
		if err := s.Client().ConfigSet(ctx, "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	for range 3 {
		if _, err := s.Append(ctx, redistest.Decision("u", "c", 0, 1)); events.CodeOf(err) != events.CodeUnavailable || !strings.Contains(err.Error(), "takes no writes") {
			t.Errorf("an append: %v", err)
		}
		if _, err := s.Load(ctx, "user", "u", ""); err != nil {
			t.Errorf("a load: %v", err)
		}
	}
	if s.Ready() == nil || begun.Load() != 1 || ended.Load() != 0 {
		t.Errorf("ready: %v; the block was told of %d times and its end %d times", s.Ready(), begun.Load(), ended.Load())
	}
	limit("0")
	redistest.Eventually(t, "it is ready", func() bool { return s.Ready() == nil })
	if _, err := s.Append(ctx, redistest.Decision("u", "c", 0, 1)); err != nil {
		t.Errorf("an append: %v", err)
	}
	if begun.Load() != 1 || ended.Load() != 1 {
		t.Errorf("the block was told of %d times and its end %d times", begun.Load(), ended.Load())
	}
}

func TestCallsEndWithTheirContextsWhileRedisHangs(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t, "--enable-debug-command", "yes")
	s := redistest.OpenWith(t, redis.Config{URL: srv.URL()})
	// A server that does not answer for a while, without refusing connections.
	go s.Client().Do(context.Background(), "debug", "sleep", "3")
	redistest.Eventually(t, "the server sleeps", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		return s.Client().Ping(ctx).Err() != nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Append(ctx, redistest.Decision("u", events.NewID(), 0, 1)); err == nil {
		t.Error("it is stored by a server that sleeps")
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s to give up", took)
	}
}

// A Redis that is away when a handler subscribes is waited for, and everything that
// the queue needs is made then, also where a part of it stands from before.
func TestSubscribeWhileRedisIsAway(t *testing.T) {
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
				redistest.Eventually(t, "somebody handles "+kind, func() bool {
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
