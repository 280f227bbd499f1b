package router_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// Any function of a declaration may panic. That affects its own handler alone.
func TestProject_PanicHoldsUpNoOtherHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var fixed atomic.Bool
		panics := func(*row, router.Event[sample.Created]) error {
			if !fixed.Load() {
				panic("boom")
			}
			return nil
		}
		kit := routertest.Start(t, catalogue(t),
			router.Project("p", router.Case(panics)),
			router.Project("by-key", router.CaseBy(func(e router.Event[sample.Created]) string { return string(e.Data.Name[0]) }, count)),
			router.On("h", react))
		kit.Given(sample.Created{UserID: ada})
		eventually(t, "the others to go on", func() bool { return len(kit.Handled("h")) == 1 })
		fixed.Store(true)
		eventually(t, "the row", func() bool {
			var r row
			return kit.Row("p", ada, &r)
		})
	})
}

// orderPlaced has no key unless it says who placed it.
type orderPlaced struct {
	Customer *struct{ ID string }
}

func (orderPlaced) EventType() string     { return "ORDER_PLACED" }
func (o orderPlaced) AggregateID() string { return o.Customer.ID }

func TestOn_PanicOfAKey(t *testing.T) {
	t.Parallel()
	c := events.NewCatalogue()
	if err := c.Aggregate("order", events.EventOf[orderPlaced]()); err != nil {
		t.Fatal(err)
	}
	kit := routertest.Start(t, c, router.On("h", func(context.Context, router.Event[orderPlaced]) error { return nil }, router.Policy{Ordered: true}))
	kit.Deliver("order.events", "ORDER_PLACED", []byte(`{"type":"ORDER_PLACED","data":{}}`))
	if n := len(kit.Handled("h")); n != 1 {
		t.Errorf("the message was handled %d times", n)
	}
}

func TestPolicy_RetryIf_Panic(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.On("h", func(context.Context, router.Event[sample.Created]) error { return errBad },
		router.Policy{BreakAfter: 1, BreakPause: 100 * time.Millisecond, RetryIf: func(error) bool { panic("boom") }}))
	kit.Record(created(ada), created(bob))
	poisoned := kit.Poisoned("h")
	if len(poisoned) != 2 || poisoned[0].Attempts != 1 || poisoned[0].Reason != errBad.Error() {
		t.Errorf("the poison messages are %+v", poisoned)
	}
}

func TestOn_RetryAfterAnyPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int32
		kit := routertest.Start(t, catalogue(t), router.On("h", func(context.Context, router.Event[sample.Created]) error {
			calls.Add(1)
			return events.RetryAfter(math.MaxInt64, errors.New("not in this life"))
		}))
		kit.Given(created(ada))
		eventually(t, "the first attempt", func() bool { return calls.Load() == 1 })
		time.Sleep(time.Hour) //nolint:forbidigo // The clock is synctest's; nobody sleeps.
		if n := calls.Load(); n != 1 {
			t.Errorf("%d attempts within an hour", n)
		}
	})
}
