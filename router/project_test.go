package router_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

func TestProject_OtherKeysAndDeletedRows(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t),
		router.Project("by-name",
			router.CaseBy(func(e router.Event[sample.Created]) string { return e.Data.Name }, count),
		),
		router.Project("open",
			router.Case(count),
			router.Case(func(*row, router.Event[sample.Deactivated]) error { return router.ErrDeleteRow }),
		))
	for i := range 10 {
		kit.Record(sample.Created{UserID: fmt.Sprint(i), Name: []string{"Ada", "Bob"}[i%2]})
	}
	// Deleted and made anew within one step: nothing of the old row is left.
	kit.Record(sample.Deactivated{UserID: "0"}, created("0"), sample.Deactivated{UserID: "1"})
	var r row
	for key, want := range map[string]int{"Ada": 5, "Bob": 5, "Someone": 1} {
		if !kit.Row("by-name", key, &r) || r.N != want {
			t.Errorf("by-name has %d for %s, want %d", r.N, key, want)
		}
	}
	if !kit.Row("open", "0", &r) || r.N != 1 {
		t.Errorf("the row made anew counts %d, want 1", r.N)
	}
	if kit.Row("open", "1", &r) {
		t.Errorf("the deleted row is still there: %+v", r)
	}
}

func TestProject_EventThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	var failures atomic.Int32
	kit := routertest.Start(t, catalogue(t), router.Project("p",
		router.Case(func(r *row, e router.Event[sample.Created]) error {
			r.N++ // Changed before the failure: this must not be stored twice.
			switch {
			case e.Data.Name == "hopeless":
				return events.Permanent(errors.New("never"))
			case e.Data.Name == "later" && failures.Add(1) < 3:
				return errors.New("not yet")
			}
			return nil
		})))
	kit.Record(created(ada), sample.Created{UserID: ada, Name: "hopeless"}, created(ada), sample.Created{UserID: ada, Name: "later"}, created(ada))
	var r row
	if !kit.Row("p", ada, &r) || r.N != 4 {
		t.Errorf("the row counts %d, want 4: each event but the hopeless one, once", r.N)
	}
	if l := kit.Poisoned("p"); len(l) != 1 || l[0].Reason != "never" {
		t.Errorf("poison messages: %+v", l)
	}
}

// The rows are dropped while there are no new events: the projection rebuilds them.
func TestProject_RebuildAfterDrop(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.Project("p", router.Case(count)))
	kit.Record(created(ada), created(bob), created(ada))
	kit.Store().Drop("p")
	kit.Settle()
	var r row
	if !kit.Row("p", ada, &r) || r.N != 2 {
		t.Errorf("the row counts %d, want 2", r.N)
	}
}
