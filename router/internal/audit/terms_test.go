package audit_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// A build that reacts to another type joins while an auditor of the former build balances the
// books: what the new type owes is open until it is handled, and nothing says it is settled.
func TestAuditor_AnotherTypeWhileItRuns(t *testing.T) {
	t.Parallel()
	for name, published := range map[string]bool{"published afterwards": true, "not published yet": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t.Errorf, 1)
				w.run(func(ctx context.Context) {
					pass(2 * time.Second) // The ledger begins.
					w.append(true)
					w.relay(false)
					w.step(func(int) string { return "handle" })
					if !published {
						w.append(false) // The log has it, and the relay is behind.
						pass(10 * time.Second)
					}
					terms, err := w.store.BeginLedger(ctx, handler, events.LedgerTerm{After: events.Cursor{1}, Types: []string{"B"}})
					if err != nil || len(terms) != 2 {
						t.Fatalf("the terms are %+v, %v", terms, err)
					}
					if published {
						w.append(false)
					}
					pass(10 * time.Second)
					if is, err := w.store.Standing(ctx, handler, events.LogPosition{Position: 2}); err != nil || is != events.Open {
						t.Errorf("the standing of an event that nobody has handled is %v, %v; want %v", is, err, events.Open)
					}
					if r := w.books(); r.Events != 2 || r.Handled != 1 || r.Waiting != 1 {
						t.Errorf("one of two events is handled, and the books say %+v", r)
					}
				})
			})
		})
	}
}
