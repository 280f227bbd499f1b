package router_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// An attempt that fails is followed by others, in the queue; they count as one series.
func TestRouter_Execute_Failures(t *testing.T) {
	errFails := errors.New("it fails")
	for name, test := range map[string]struct {
		policy   router.Policy
		failures int32 // of the first attempts
		err      error
		calls    int32
		code     string // of the error; "" for an accepted command
		poisoned int
	}{
		"then succeeds":         {failures: 2, err: errFails, calls: 3},
		"at every attempt":      {policy: router.Policy{Attempts: 3}, failures: 9, err: errFails, calls: 3, code: events.CodeTimeout, poisoned: 1},
		"at the only attempt":   {policy: router.Policy{Attempts: 1}, failures: 9, err: errFails, calls: 1, code: events.CodeInternal, poisoned: 1},
		"permanently":           {failures: 9, err: events.Permanent(errFails), calls: 1, code: events.CodeInternal, poisoned: 1},
		"with an open breaker":  {policy: router.Policy{BreakAfter: 1}, failures: 1, err: errFails, calls: 2},
		"and asks for a pause":  {failures: 1, err: events.RetryAfter(time.Second, errFails), calls: 2},
		"and asks for a longer": {failures: 1, err: events.RetryAfter(3*time.Second, errFails), calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var calls atomic.Int32
				kit := routertest.Start(t, catalogue(t), router.Decide("register", func(ctx context.Context, c sample.Create, u sample.User) ([]events.Data, error) {
					if calls.Add(1) <= test.failures {
						return nil, test.err
					}
					return register(ctx, c, u)
				}, test.policy))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				o, err := kit.Execute(ctx, adaCreated(), events.SendOptions{})
				if test.code == "" && (err != nil || o.Status != events.StatusAccepted) || events.CodeOf(err) != test.code && test.code != "" {
					t.Errorf("the outcome is %+v, %v", o, err)
				}
				kit.Settle()
				if n := calls.Load(); n != test.calls {
					t.Errorf("the handler was called %d times, want %d", n, test.calls)
				}
				poisoned := kit.Poisoned("register")
				if len(poisoned) != test.poisoned {
					t.Fatalf("poison messages: %+v", poisoned)
				}
				if len(poisoned) > 0 && poisoned[0].Attempts != int(test.calls) {
					t.Errorf("the poison message had %d attempts, want %d", poisoned[0].Attempts, test.calls)
				}
			})
		})
	}
}

// A command that was decided has its outcome, however its handler fails when it comes again.
func TestRouter_Execute_ReplayWhileFailing(t *testing.T) {
	for name, failing := range map[string]func() error{
		"retried":   func() error { return errors.New("it fails") },
		"permanent": func() error { return events.Permanent(errors.New("it fails")) },
		"panic":     func() error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var fails atomic.Bool
				kit := routertest.Start(t, catalogue(t), router.Decide("register", func(ctx context.Context, c sample.Create, u sample.User) ([]events.Data, error) {
					if fails.Load() {
						return nil, failing()
					}
					return register(ctx, c, u)
				}))
				options := events.SendOptions{ID: "order 7", CorrelationID: "c-1"}
				want := executed(t, kit, adaCreated(), options)
				fails.Store(true)
				want.Repeated = true
				if diff := cmp.Diff(want, executed(t, kit, adaCreated(), options)); diff != "" {
					t.Errorf("executed again (-want +got):\n%s", diff)
				}
				if _, err := kit.Commands().Send(t.Context(), adaCreated(), options); err != nil {
					t.Fatal(err)
				}
				kit.Settle()
				if poisoned := kit.Poisoned("register"); len(poisoned) > 0 {
					t.Errorf("poison messages: %+v", poisoned)
				}
			})
		})
	}
}
