package cli

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// TestDrain_KeepsAttempts stops a router while some messages wait in memory for their second
// attempt, and the first one of others is about to fail: the next run makes one more attempt
// at each, and not two.
func TestDrain_KeepsAttempts(t *testing.T) {
	t.Parallel()
	const waiting, running = 20, 5
	onBoth(t, func(t *testing.T, r *rig) {
		var calls, blocked atomic.Int64
		draining := make(chan struct{})
		var perID sync.Map
		r.handler = router.On("h", func(_ context.Context, e router.Event[sample.Created]) error {
			n, _ := perID.LoadOrStore(e.ID, new(atomic.Int64))
			if n.(*atomic.Int64).Add(1) == 1 && e.Data.Name == "slow" {
				blocked.Add(1)
				<-draining
			}
			calls.Add(1)
			return events.RetryAfter(900*time.Millisecond, errors.New("not yet"))
		}, router.Policy{Attempts: 2, Concurrency: waiting + running})
		stop := r.run()
		var slow, fast []*message.Message
		for range running {
			slow = append(slow, created(events.NewID(), "slow"))
		}
		for range waiting {
			fast = append(fast, created(events.NewID(), "fast"))
		}
		r.publishAll(slow...)
		programtest.Eventually(t, "the slow ones to be handled", func() bool { return blocked.Load() == running })
		r.publishAll(fast...)
		programtest.Eventually(t, "the fast ones to have failed", func() bool { return calls.Load() >= waiting })
		time.AfterFunc(200*time.Millisecond, func() { close(draining) })
		stop()
		r.run()
		for _, m := range r.poisoned(waiting + running) {
			if m.Attempts != 2 {
				t.Errorf("a message is poison after %d attempts, not 2", m.Attempts)
			}
		}
		perID.Range(func(id, n any) bool {
			if calls := n.(*atomic.Int64).Load(); calls != 2 {
				t.Errorf("the handler was called %d times for %s, not 2", calls, id)
			}
			return true
		})
	}, nil)
}
