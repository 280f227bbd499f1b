package poison_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
	"github.com/pitwheel/pitwheel/router/routertest"
)

func TestNew_MissingPort(t *testing.T) {
	t.Parallel()
	for field, c := range map[string]poison.Config{
		"Store": {Queues: &queues{}}, "Queues": {Store: &routertest.PoisonStore{}},
	} {
		_, err := poison.New(c)
		var e *events.Error
		if !errors.As(err, &e) || e.Code != events.CodeConfig || e.Field != field {
			t.Errorf("without %s: %v", field, err)
		}
	}
}

func TestAdmin_Plan(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	all := f.fill(t, 5, func(i int, m *poison.Message) {
		if i > 2 {
			m.Handler, m.Code = "count", "PANIC"
		}
	})
	t.Run("all", func(t *testing.T) {
		p := f.plan(t)
		check(t, p.Tally, 5, 0, 0, 0, 0)
		want := []poison.Group{
			{Fields: []string{"handler", "code"}, Values: []string{"greet", "TIMEOUT"}, Messages: 3, FirstFailedAt: all[0].FirstFailedAt, LastFailedAt: all[2].LastFailedAt},
			{Fields: []string{"handler", "code"}, Values: []string{"count", "PANIC"}, Messages: 2, FirstFailedAt: all[3].FirstFailedAt, LastFailedAt: all[4].LastFailedAt},
		}
		if diff := cmp.Diff(want, p.Groups); diff != "" {
			t.Errorf("other groups than wanted (-want +got):\n%s", diff)
		}
	})
	t.Run("a filter", func(t *testing.T) {
		p, err := f.Plan(t.Context(), poison.Selection{Filter: poison.Filter{Fields: map[string][]string{"code": {"PANIC"}}, After: all[4].LastFailedAt}})
		if err != nil {
			t.Fatal(err)
		}
		check(t, p.Tally, 1, 0, 0, 0, 0)
	})
	t.Run("ids, one of them twice and one unknown", func(t *testing.T) {
		p := f.plan(t, all[0].ID, all[1].ID, all[0].ID, "unknown")
		check(t, p.Tally, 3, 0, 0, 1, 1)
		if first := p.Tally.Problems[0]; first.First.ID != "unknown" || events.CodeOf(first.Err) != events.CodeNotFound {
			t.Errorf("the problem is %+v", first)
		}
	})
	t.Run("an unknown id alone", func(t *testing.T) {
		if _, err := f.Plan(t.Context(), poison.Selection{IDs: []string{"unknown", "unknown"}}); events.CodeOf(err) != events.CodeNotFound {
			t.Errorf("the error is %v", err)
		}
	})
	if f.left(t) != 5 || len(f.queues.published) > 0 {
		t.Error("a plan has changed something")
	}
}

// What fails after the plan was made is left for another one.
func TestAdmin_PlanIsBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	all := f.fill(t, 3, nil)
	p := f.plan(t)
	f.keep(t, again(all[0]))
	f.keep(t, failed(7))
	tally, err := f.Retry(t.Context(), p, poison.Options{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, tally, 3, 2, 0, 0, 0)
	sameIDs(t, "published", f.queues.ids(), all[1].MessageID, all[2].MessageID)
}

func TestAdmin_Batches(t *testing.T) {
	t.Parallel()
	t.Run("of 64 messages", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.fill(t, 130, nil)
		var progress []int
		tally, err := f.Retry(t.Context(), f.plan(t), poison.Options{Progress: func(n int) { progress = append(progress, n) }})
		if err != nil {
			t.Fatal(err)
		}
		check(t, tally, 130, 130, 0, 0, 0)
		if diff := cmp.Diff([]int{64, 64, 2}, f.store.loaded); diff != "" {
			t.Errorf("other batches than wanted (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]int{64, 64, 2}, progress); diff != "" {
			t.Errorf("other progress than wanted (-want +got):\n%s", diff)
		}
	})
	t.Run("of 8 MiB", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t)
		f.fill(t, 5, func(i int, m *poison.Message) { m.Size = []int{5 << 20, 3 << 20, 1, 9 << 20, 1}[i] })
		if _, err := f.Retry(t.Context(), f.plan(t), poison.Options{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{2, 1, 1, 1}, f.store.loaded); diff != "" {
			t.Errorf("other batches than wanted (-want +got):\n%s", diff)
		}
	})
}

func TestAdmin_Interval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.fill(t, 50, nil)
		began := time.Now()
		if _, err := f.Retry(t.Context(), f.plan(t), poison.Options{Interval: 20 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("50 messages took %s", took)
		}
		if n := f.store.loaded[0]; n != 5 {
			t.Errorf("a batch has %d messages: the rate is uneven", n)
		}
	})
}

func TestAdmin_Interruption(t *testing.T) {
	t.Parallel()
	for name, operation := range map[string]func(*poison.Admin, context.Context, poison.Plan, poison.Options) (poison.Tally, error){
		"retry": (*poison.Admin).Retry, "discard": (*poison.Admin).Discard,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.fill(t, 100, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := f.plan(t)
			f.store.before = func(string) error { cancel(); return nil } // It comes in the middle of the batch.
			tally, err := operation(f.Admin, ctx, p, poison.Options{Interval: time.Microsecond})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the error is %v", err)
			}
			check(t, tally, 100, 64, 0, 0, 0)
			if n := f.left(t); n != 36 {
				t.Errorf("%d messages are left, want 36", n)
			}
		})
	}
}

func TestAdmin_Changes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	all := f.fill(t, 2, nil)
	if _, err := f.Discard(t.Context(), f.plan(t, all[0].ID), poison.Options{Who: "ada", Why: "a test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Retry(t.Context(), f.plan(t), poison.Options{Who: "bob"}); err != nil {
		t.Fatal(err)
	}
	changes := collect(t, f.Changes(t.Context()))
	for i := range changes {
		if changes[i].At.IsZero() {
			t.Errorf("change %d has no time", i)
		}
		changes[i].At = time.Time{}
	}
	want := []poison.Change{poison.Change{Action: poison.Retried, Who: "bob"}.Of(all[1]), poison.Change{Action: poison.Discarded, Who: "ada", Why: "a test"}.Of(all[0])}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Errorf("another audit trail than wanted (-want +got):\n%s", diff)
	}
	text, err := want[1].MarshalJSON()
	if wanted := `{"at":"0001-01-01T00:00:00.000Z","action":"discarded","who":"ada","why":"a test","poison_id":"` + all[0].ID +
		`","handler":"greet","type":"USER_CREATED","key":"u0","message_id":"` + all[0].MessageID + `","code":"TIMEOUT"}`; err != nil || string(text) != wanted {
		t.Errorf("as JSON: %s, %v\nwant:    %s", text, err, wanted)
	}
}
