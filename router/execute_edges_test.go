package router_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// running starts a router in memory, and returns what stops it.
func running(t *testing.T, handlers ...router.Handler) (r *router.Router, end func() error) {
	t.Helper()
	store := &routertest.Store{}
	r, err := router.New(router.Config{
		Catalogue: catalogue(t), Handlers: handlers, Transport: &routertest.Transport{},
		Log: store, Reader: store, Checkpoints: store, Projections: store, Elector: store, Inbox: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	<-r.Running()
	return r, func() error {
		stop()
		return <-ended
	}
}

// A handler that asks for order across instances, and behind poison messages, gets its
// commands from its queue alone.
func TestRouter_Execute_Ordered(t *testing.T) {
	for _, first := range []string{"Send", "Execute"} {
		for _, second := range []string{"Send", "Execute"} {
			t.Run(first+" then "+second, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					kit := routertest.Start(t, catalogue(t), router.Decide("register", func(_ context.Context, c sample.Create, _ sample.User) ([]events.Data, error) {
						if c.Name == "bad" {
							return nil, errNever
						}
						return []events.Data{sample.Created{UserID: c.UserID, Email: c.Email, Name: c.Name}}, nil
					}, router.Policy{Ordered: true, Attempts: 1}))
					do := func(way, name string) {
						cmd := sample.Create{UserID: ada, Email: "a@example.com", Name: name}
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						defer cancel()
						if way == "Send" {
							_, _ = kit.Commands().Send(ctx, cmd, events.SendOptions{})
						} else {
							_, _ = kit.Execute(ctx, cmd, events.SendOptions{})
						}
						kit.Settle()
					}
					do(first, "bad")
					do(second, "good")
					if n := len(kit.Published("user.events")); n != 0 {
						t.Errorf("%d events: the second command passed the poison message of its key", n)
					}
				})
			})
		}
	}
}

// A caller who leaves, or whose process stops, while the store hangs or another command of
// the aggregate is decided: the broker gets the command.
func TestRouter_Execute_CallerLeaves(t *testing.T) {
	for name, hold := range map[string]string{"the store hangs": "Append", "it waits for its turn": ""} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var faults routertest.Faults
				release := make(chan struct{})
				kit := routertest.StartWith(t, faults.Inject, catalogue(t), router.Decide("register", func(_ context.Context, c sample.Create, _ sample.User) ([]events.Data, error) {
					if c.Name == "slow" {
						<-release
					}
					return []events.Data{sample.Created{UserID: c.UserID, Email: c.Email, Name: c.Name}}, nil
				}))
				want := 1
				var slow sync.WaitGroup
				if hold != "" {
					defer faults.On(hold).Times(1).Hold().End()
				} else {
					want = 2
					slow.Go(func() {
						_, _ = kit.Execute(t.Context(), sample.Create{UserID: ada, Email: "a@example.com", Name: "slow"}, events.SendOptions{})
					})
					synctest.Wait()
				}
				ctx, leave := context.WithTimeout(t.Context(), 20*time.Second)
				defer leave()
				time.AfterFunc(4*time.Second, leave)
				o, err := kit.Execute(ctx, adaCreated(), events.SendOptions{})
				if o.Status != events.StatusUnknown || events.CodeOf(err) != events.CodeTimeout {
					t.Errorf("the outcome is %+v, %v", o, err)
				}
				close(release)
				slow.Wait()
				kit.Settle()
				if n := len(kit.Published("user.events")); n != want {
					t.Errorf("%d events, want %d", n, want)
				}
			})
		})
	}
}

// A permanent failure holds its caller up no longer than promised if the broker takes
// nothing.
func TestRouter_Execute_PoisonQueueBlocked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		kit := routertest.StartWith(t, faults.Inject, catalogue(t), router.Decide("register", func(context.Context, sample.Create, sample.User) ([]events.Data, error) {
			return nil, events.Permanent(errNever)
		}))
		poisoned, queue := faults.On("Publish register.poison").Hold(), faults.On("Publish register").Hold()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		started := time.Now()
		if o, err := kit.Execute(ctx, adaCreated(), events.SendOptions{}); events.CodeOf(err) != events.CodeTimeout {
			t.Errorf("the outcome is %+v, %v", o, err)
		}
		if took := time.Since(started); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
		poisoned.End()
		queue.End()
	})
}

// A drain lets reactions finish that execute commands.
func TestRouter_Execute_DrainOfReaction(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var r *router.Router
		reacting, react := make(chan struct{}), make(chan struct{})
		followUp := func(ctx context.Context, e router.Event[sample.Created]) error {
			if e.Data.UserID != ada {
				return nil
			}
			close(reacting)
			<-react
			_, err := r.Execute(ctx, sample.Create{UserID: bob, Email: "b@example.com", Name: "Bob"}, events.SendOptions{})
			return err
		}
		var stop func() error
		r, stop = running(t, router.Decide("register", register), router.On("w", followUp))
		if _, err := r.Execute(t.Context(), adaCreated(), events.SendOptions{}); err != nil {
			t.Fatal(err)
		}
		<-reacting
		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		synctest.Wait()
		close(react)
		started := time.Now()
		if err := <-stopped; err != nil || time.Since(started) > time.Second {
			t.Errorf("the drain took %s: %v", time.Since(started), err)
		}
	})
}

// A decision that ends its goroutine, as t.FailNow does in a test, holds up no drain.
func TestRouter_Execute_Goexit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, stop := running(t, router.Decide("register", func(context.Context, sample.Create, sample.User) ([]events.Data, error) {
			runtime.Goexit()
			return nil, nil
		}))
		var caller sync.WaitGroup
		caller.Go(func() { _, _ = r.Execute(t.Context(), adaCreated(), events.SendOptions{}) })
		caller.Wait()
		started := time.Now()
		if err := stop(); err != nil || time.Since(started) > time.Second {
			t.Errorf("the drain took %s: %v", time.Since(started), err)
		}
	})
}

// A decision without events is not made on a state that nobody has checked.
func TestRouter_Execute_NothingDecidedOnUncheckedState(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.Decide("register", func(_ context.Context, c sample.Create, u sample.User) ([]events.Data, error) {
		if !u.Exists() {
			return nil, nil
		}
		return []events.Data{sample.EmailChanged{UserID: c.UserID, Email: c.Email}}, nil
	}))
	// The aggregate that gets its id from the command exists: its outcome has expired.
	existing := events.DeriveID("aggregate", "user", events.NormalizeID("x"))
	kit.Record(sample.Created{UserID: existing, Email: "a@example.com", Name: "Ada"})
	o := executed(t, kit, sample.Create{Email: "b@example.com", Name: "Ada"}, events.SendOptions{ID: "x"})
	if len(o.Events) != 1 || o.Version != 2 {
		t.Errorf("the outcome is %+v", o)
	}
}

// A decision that executes a command on its own aggregate would wait for itself.
func TestRouter_Execute_Nested(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kit *routertest.Kit
		var own, other error
		kit = routertest.Start(t, catalogue(t),
			router.Decide("register", func(ctx context.Context, c sample.Create, u sample.User) ([]events.Data, error) {
				if c.UserID == ada {
					_, own = kit.Execute(ctx, sample.ChangeEmail{UserID: ada, Email: "x@example.com"}, events.SendOptions{})
					_, other = kit.Execute(ctx, sample.ChangeEmail{UserID: bob, Email: "x@example.com"}, events.SendOptions{})
				}
				return register(ctx, c, u)
			}), router.Decide("move", move))
		started := time.Now()
		if o := executed(t, kit, adaCreated(), events.SendOptions{}); o.Status != events.StatusAccepted {
			t.Errorf("the outcome is %+v", o)
		}
		if events.CodeOf(own) != events.CodeInternal || time.Since(started) > time.Second {
			t.Errorf("on its own aggregate, after %s: %v", time.Since(started), own)
		}
		if other != nil {
			t.Errorf("on another aggregate: %v", other)
		}
	})
}
