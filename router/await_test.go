package router_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// However many wait, the store is asked for all outcomes at once.
func TestCommands_Await_SharedLookups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		kit := routertest.StartWith(t, faults.Inject, catalogue(t), router.Decide("register", register, router.Policy{Paused: true}))
		lookups := faults.On("Outcomes").Delay(time.Millisecond)
		const n = 300
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		for range n {
			receipt, err := kit.Commands().Send(t.Context(), sample.Create{Email: "a@example.com", Name: "Ada"}, events.SendOptions{})
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				if _, err := kit.Commands().Await(ctx, receipt); events.CodeOf(err) != events.CodeTimeout {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if asked := lookups.Injected(); asked == 0 || asked > 500 { // Alone, each would have asked thirty times.
			t.Errorf("the store was asked %d times for %d commands", asked, n)
		}
	})
}

// An outcome that cannot be read fails only the caller who waits for it.
func TestCommands_Await_OneUnreadable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const unreadable = 7
		var receipts []events.Receipt
		log := &unreadableLog{Log: &routertest.Store{}}
		kit := routertest.StartWith(t, func(c *router.Config) {
			log.Log = c.Log
			c.Log = log
		}, catalogue(t), router.Decide("register", register))
		for i := range 20 {
			r, err := kit.Commands().Send(t.Context(), sample.Create{Email: "a@example.com", Name: "Ada"}, events.SendOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if i == unreadable {
				log.unreadable = r.CommandID
			}
			receipts = append(receipts, r)
		}
		kit.Settle()
		var all sync.WaitGroup
		for i, r := range receipts {
			all.Go(func() {
				_, err := kit.Commands().Await(t.Context(), r)
				if failed := events.CodeOf(err) == events.CodeUndecodable; failed != (i == unreadable) || !failed && err != nil {
					t.Errorf("command %d: %v", i, err)
				}
			})
		}
		all.Wait()
	})
}

// unreadableLog has an outcome that cannot be read.
type unreadableLog struct {
	router.Log
	unreadable string // command id
}

func (l *unreadableLog) Outcomes(ctx context.Context, of []events.Receipt) ([]events.Outcome, error) {
	for _, r := range of {
		if r.CommandID == l.unreadable {
			return nil, events.Errorf(events.CodeUndecodable, "the stored outcome cannot be read: %w", errors.New("garbage"))
		}
	}
	return l.Log.Outcomes(ctx, of)
}
