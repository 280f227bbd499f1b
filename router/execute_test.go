package router_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// way is how commands got to their handler.
type way struct{ queue *routertest.Fault }

// watchWay notices each command that is sent to a queue.
func watchWay(f *routertest.Faults) way { return way{f.On("Publish user.commands").Delay(0)} }

func (w way) check(t *testing.T, queued int) {
	t.Helper()
	if n := w.queue.Injected(); n != queued {
		t.Errorf("%d commands went through the queue, want %d", n, queued)
	}
}

func executed(t testing.TB, kit *routertest.Kit, cmd events.Command, o events.SendOptions) events.Outcome {
	t.Helper()
	outcome, err := kit.Execute(t.Context(), cmd, o)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func adaCreated() events.Command {
	return sample.Create{UserID: ada, Email: "a@example.com", Name: "Ada"}
}

// A command that a caller waits for is decided where it arrives, and everything follows as
// from one that came through the queue.
func TestRouter_Execute(t *testing.T) {
	t.Parallel()
	var faults routertest.Faults
	through := watchWay(&faults)
	w := &recorder{}
	kit := routertest.StartWith(t, faults.Inject, catalogue(t), application(w)...)

	created := executed(t, kit, adaCreated(), events.SendOptions{ID: "order 7", CorrelationID: "c-1"})
	want := events.Outcome{
		Status: events.StatusAccepted, Command: "CREATE_USER", CommandID: events.NormalizeID("order 7"), CorrelationID: "c-1",
		Aggregate: "user", AggregateID: ada, Version: 1, Events: []events.EventRef{{Type: "USER_CREATED", Version: 1}},
	}
	if diff := cmp.Diff(want, created, cmpopts.IgnoreFields(events.EventRef{}, "ID"), cmpopts.IgnoreFields(events.Outcome{}, "CommandHash")); diff != "" {
		t.Errorf("the outcome (-want +got):\n%s", diff)
	}
	moved := executed(t, kit, sample.ChangeEmail{UserID: ada, Email: "b@example.com"}, events.SendOptions{})
	if moved.Version != 2 {
		t.Errorf("the second outcome is %+v", moved)
	}
	kit.Settle()
	verify(t, kit, ada, 2)
	if diff := cmp.Diff([]uint64{2}, w.of(ada)); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
	for _, e := range kit.Published("user.events") {
		if e.ID == created.Events[0].ID && (e.CorrelationID != "c-1" || e.CausationID != created.CommandID) {
			t.Errorf("the event's correlation is %q, its cause %q", e.CorrelationID, e.CausationID)
		}
	}

	again := executed(t, kit, adaCreated(), events.SendOptions{ID: "order 7"})
	created.Repeated = true
	if diff := cmp.Diff(created, again); diff != "" {
		t.Errorf("executed again (-want +got):\n%s", diff)
	}
	if refused := executed(t, kit, adaCreated(), events.SendOptions{}); refused.Status != events.StatusRejected || refused.Code != "USER_EXISTS" {
		t.Errorf("a user who exists is created again: %+v", refused)
	}
	_, err := kit.Execute(t.Context(), sample.ChangeEmail{UserID: ada, Email: "c@example.com"}, events.SendOptions{ID: "order 7"})
	if events.CodeOf(err) != events.CodeIDInUse {
		t.Errorf("another command under the id: %v", err)
	}
	_, err = kit.Execute(t.Context(), sample.Create{Name: "Ada"}, events.SendOptions{})
	if r, ok := events.AsRejection(err); !ok || r.Field != "email" {
		t.Errorf("an invalid command: %v", err)
	}
	through.check(t, 0)
}

// A user who gets an id from the command that creates them needs no loading, and is yet
// created once.
func TestRouter_Execute_NewAggregate(t *testing.T) {
	t.Parallel()
	var faults routertest.Faults
	loaded := faults.On("Load").Delay(0)
	kit := routertest.StartWith(t, faults.Inject, catalogue(t), router.Decide("register", register))
	create := sample.Create{Email: "a@example.com", Name: "Ada"}
	first := executed(t, kit, create, events.SendOptions{ID: "1"})
	if loaded.Injected() != 0 {
		t.Errorf("it was loaded %d times", loaded.Injected())
	}
	// The stored outcome has expired: the aggregate is all that is known of the command.
	create.UserID = first.AggregateID
	if again := executed(t, kit, create, events.SendOptions{ID: "2"}); again.Code != "USER_EXISTS" {
		t.Errorf("a user who exists is created again: %+v", again)
	}
	kit.Settle()
	if got := kit.Published("user.events"); len(got) != 1 {
		t.Errorf("the events are %+v", got)
	}
}

// What may not be decided here goes through the queue.
func TestRouter_Execute_Queue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		adapt  func(*router.Config)
		policy router.Policy
		// sent is how many of three commands go through the queue.
		sent int
	}{
		"runs here":       {sent: 0},
		"over its rate":   {policy: router.Policy{Rate: 1}, sent: 2},
		"not run here":    {adapt: func(c *router.Config) { c.HandlerNames = []string{"w"} }, sent: 3},
		"paused":          {policy: router.Policy{Paused: true}, sent: 3},
		"too many at one": {policy: router.Policy{Concurrency: 1}, sent: 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var faults routertest.Faults
				through := watchWay(&faults)
				w := &recorder{}
				kit := routertest.StartWith(t, func(c *router.Config) {
					faults.Inject(c)
					if test.adapt != nil {
						test.adapt(c)
					}
				}, catalogue(t), router.Decide("register", register, test.policy), router.On("w", w.handle))
				for i := range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					o, err := kit.Execute(ctx, sample.Create{Email: "a@example.com", Name: "Ada"}, events.SendOptions{})
					cancel()
					stuck := test.sent == 3
					if got := o.Status == events.StatusUnknown && events.CodeOf(err) == events.CodeTimeout; got != stuck {
						t.Errorf("command %d: %+v, %v", i, o, err)
					}
				}
				through.check(t, test.sent)
			})
		})
	}
}

// A store that does not answer here may answer elsewhere or later: the broker gets the
// command before the caller's time is up.
func TestRouter_Execute_StoreHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		kit := routertest.StartWith(t, faults.Inject, catalogue(t), router.Decide("register", register))
		hangs := faults.On("Append").Times(1).Hold()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		started := time.Now()
		o, err := kit.Execute(ctx, adaCreated(), events.SendOptions{})
		if err != nil || o.Status != events.StatusAccepted {
			t.Errorf("the outcome is %+v, %v", o, err)
		}
		if took := time.Since(started); took < 3*time.Second || took > 3500*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		hangs.End()
		kit.Settle()
		if n := len(kit.Published("user.events")); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}

// Commands of one aggregate are decided in turn, so none is decided twice.
func TestRouter_Execute_OneAggregate(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics, err := router.NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	kit := routertest.StartWith(t, func(c *router.Config) { c.Metrics = metrics }, catalogue(t), application(&recorder{})...)
	executed(t, kit, adaCreated(), events.SendOptions{})
	const n = 200
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			cmd := sample.ChangeEmail{UserID: ada, Email: fmt.Sprintf("%d@example.com", i)}
			var err error
			if i%4 == 0 {
				_, err = kit.Commands().Send(t.Context(), cmd, events.SendOptions{})
			} else {
				_, err = kit.Execute(t.Context(), cmd, events.SendOptions{})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	kit.Settle()
	verify(t, kit, ada, n+1)
	err = testutil.CollectAndCompare(registry, strings.NewReader(`
		# HELP pitwheel_append_conflicts_total Appends refused because the aggregate had moved on; the command was decided again.
		# TYPE pitwheel_append_conflicts_total counter
		pitwheel_append_conflicts_total 0
	`), "pitwheel_append_conflicts_total")
	if err != nil {
		t.Error(err)
	}
}

// A stop waits for what is being decided for callers; what comes later goes to the queue.
func TestRouter_Execute_Drain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		deciding, decide := make(chan struct{}), make(chan struct{})
		slow := router.Decide("register", func(ctx context.Context, c sample.Create, u sample.User) ([]events.Data, error) {
			if c.UserID == ada {
				close(deciding)
				<-decide
			}
			return register(ctx, c, u)
		})
		r, end := running(t, slow)
		outcome := make(chan error, 1)
		go func() {
			_, err := r.Execute(t.Context(), adaCreated(), events.SendOptions{})
			outcome <- err
		}()
		<-deciding
		ended := make(chan error, 1)
		go func() { ended <- end() }()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("the router has stopped while it decides: %v", err)
		default:
		}
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		o, err := r.Execute(late, sample.Create{UserID: bob, Email: "b@example.com", Name: "Bob"}, events.SendOptions{})
		if o.Status != events.StatusUnknown || events.CodeOf(err) != events.CodeTimeout {
			t.Errorf("during the drain: %+v, %v", o, err)
		}
		close(decide)
		if err := errors.Join(<-outcome, <-ended); err != nil {
			t.Error(err)
		}
	})
}

// A broker that takes nothing holds a caller up no longer than the caller's own deadline.
func TestRouter_Execute_BrokerBlocked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		kit := routertest.StartWith(t, faults.Inject, catalogue(t), router.Decide("register", register, router.Policy{Paused: true}))
		blocked := faults.On("Publish user.commands").Hold()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		started := time.Now()
		o, err := kit.Execute(ctx, adaCreated(), events.SendOptions{})
		if events.CodeOf(err) != events.CodeTimeout || o.Status != "" {
			t.Errorf("the outcome is %+v, %v", o, err)
		}
		if took := time.Since(started); took != 2*time.Second {
			t.Errorf("it took %s", took)
		}
		blocked.End()
	})
}

// The application's middleware is around every attempt, and knows the handler, whichever
// way the command came.
func TestRouter_Execute_Middleware(t *testing.T) {
	t.Parallel()
	var names []string
	kit := routertest.StartWith(t, func(c *router.Config) {
		c.Middleware = []message.HandlerMiddleware{func(next message.HandlerFunc) message.HandlerFunc {
			return func(msg *message.Message) ([]*message.Message, error) {
				names = append(names, router.HandlerName(msg.Context())+" "+msg.Metadata[events.MetaType])
				return next(msg)
			}
		}}
	}, catalogue(t), router.Decide("register", register))
	executed(t, kit, adaCreated(), events.SendOptions{})
	if _, err := kit.Commands().Send(t.Context(), sample.Create{UserID: bob, Email: "b@example.com", Name: "Bob"}, events.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	kit.Settle()
	if diff := cmp.Diff([]string{"register CREATE_USER", "register CREATE_USER"}, names); diff != "" {
		t.Errorf("the middleware saw (-want +got):\n%s", diff)
	}
	if name := router.HandlerName(t.Context()); name != "" {
		t.Errorf("outside of handlers there is a handler %q", name)
	}
}
