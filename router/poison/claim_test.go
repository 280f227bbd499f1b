package poison_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// Operations at the same time take no message twice, and all are done in the end.
func TestAdmin_OperationsAtOnce(t *testing.T) {
	t.Parallel()
	retry, discard := (*poison.Admin).Retry, (*poison.Admin).Discard
	for name, second := range map[string]func(*poison.Admin, context.Context, poison.Plan, poison.Options) (poison.Tally, error){"retry": retry, "discard": discard} {
		t.Run("a retry and a "+name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			all := f.fill(t, 300, nil)
			// The first batch is not published before the other operation wants its messages, too.
			var claims atomic.Int32
			both := make(chan struct{})
			f.store.before = func(call string) error {
				if call == "claim" && claims.Add(1) == 2 {
					close(both)
				}
				return nil
			}
			f.queues.before = func(string, []string) error {
				<-both
				return nil
			}
			var operations sync.WaitGroup
			for _, do := range []func(*poison.Admin, context.Context, poison.Plan, poison.Options) (poison.Tally, error){retry, second} {
				p := f.plan(t)
				operations.Go(func() {
					tally, err := do(f.Admin, t.Context(), p, poison.Options{})
					if err != nil {
						t.Error(err)
					}
					// What the other one has removed before this one has listed it is not counted.
					if tally.Matched != 300 || tally.Done > 300 || tally.FailedAgain+tally.Failed+len(tally.Problems) > 0 {
						t.Errorf("the tally is %+v", tally)
					}
				})
			}
			operations.Wait()
			var changes int
			for _, c := range collect(t, f.Changes(t.Context())) {
				if changes++; c.Action == poison.Discarded && f.queues.times(c.MessageID) > 0 {
					t.Errorf("%s is discarded and published", c.MessageID)
				}
			}
			for _, m := range all {
				if n := f.queues.times(m.MessageID); n > 1 || n == 0 && name == "retry" {
					t.Errorf("%s is published %d times", m.MessageID, n)
				}
			}
			if changes != len(all) || f.left(t) > 0 {
				t.Errorf("the audit trail has %d changes of %d messages, and %d are left", changes, len(all), f.left(t))
			}
		})
	}
}

// What a process that has died was working on is free again after a while.
func TestAdmin_RetryAfterADeadOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		all := f.fill(t, 3, nil)
		if _, err := f.store.ClaimPoison(t.Context(), "dead", time.Minute, all[1].ID); err != nil {
			t.Fatal(err)
		}
		tally, err := f.Retry(t.Context(), f.plan(t), poison.Options{})
		if err != nil {
			t.Fatal(err)
		}
		check(t, tally, 3, 2, 0, 1, 1)
		if p := tally.Problems[0]; events.CodeOf(p.Err) != events.CodeConflict || p.First.ID != all[1].ID {
			t.Errorf("the problem is %+v", p)
		}
		<-time.After(time.Minute)
		tally, err = f.Retry(t.Context(), f.plan(t), poison.Options{})
		if err != nil {
			t.Fatal(err)
		}
		check(t, tally, 1, 1, 0, 0, 0)
		sameIDs(t, "published", f.queues.ids(), all[0].MessageID, all[1].MessageID, all[2].MessageID)
	})
}

// An operation that fails leaves nothing claimed.
func TestAdmin_RetryAfterAFailedOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fill(t, 5, nil)
	f.queues.before = once[string, []string](errAway)
	if _, err := f.Retry(t.Context(), f.plan(t), poison.Options{}); err == nil {
		t.Fatal("it has not failed")
	}
	tally, err := f.Retry(t.Context(), f.plan(t), poison.Options{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, tally, 5, 5, 0, 0, 0)
}
