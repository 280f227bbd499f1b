package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// TestRetries_AcrossARestart ends the service while a message waits for its
// next attempt: the next one goes on counting, and is not early.
func TestRetries_AcrossARestart(t *testing.T) {
	t.Parallel()
	const pause = 1100 * time.Millisecond
	attempts := make(map[string]chan time.Time)
	var mu sync.Mutex
	of := func(name string) chan time.Time {
		mu.Lock()
		defer mu.Unlock()
		if attempts[name] == nil {
			attempts[name] = make(chan time.Time, 10)
		}
		return attempts[name]
	}
	onBoth(t, func(t *testing.T, r *rig) {
		user := events.NewID()
		next := func() time.Time {
			t.Helper()
			select {
			case at := <-of(user):
				return at
			case <-time.After(programtest.Patience):
				t.Fatal("no attempt")
				return time.Time{}
			}
		}
		stop := r.run()
		r.publish(user, "Ada")
		last := next()
		for range 2 {
			stop()
			stop = r.run()
			at := next()
			if between := at.Sub(last); between < pause {
				t.Errorf("an attempt came after %s, want at least %s", between, pause)
			}
			last = at
		}
		l := r.poisoned(1)[0]
		if l.Attempts != 3 || l.LastFailedAt.Sub(l.FirstFailedAt) < 2*pause {
			t.Errorf("the poison message has %d attempts from %s to %s, want 3", l.Attempts, l.FirstFailedAt, l.LastFailedAt)
		}
		if n := len(of(user)); n > 0 {
			t.Errorf("%d attempts too many", n)
		}
	}, func() router.Handler {
		return router.On("h", func(_ context.Context, e router.Event[sample.Created]) error {
			of(e.Data.UserID) <- time.Now()
			return events.RetryAfter(pause, errors.New("not yet"))
		}, router.Policy{Attempts: 3})
	})
}

// TestOrder_ThroughFailures has a key wait behind a message that is delayed and then
// poisoned, and mends it with the command line.
func TestOrder_ThroughFailures(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	failures, handled := map[string][]error{}, map[string][]string{}
	is := func(user string) string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(handled[user], " ")
	}
	fail := func(user, name string, with ...error) {
		mu.Lock()
		defer mu.Unlock()
		failures[user+name] = with
	}
	onBoth(t, func(t *testing.T, r *rig) {
		ada, bob := events.NewID(), events.NewID()
		never := events.Permanent(errors.New("never"))
		fail(ada, "2", events.RetryAfter(1100*time.Millisecond, errors.New("later")), never)
		fail(ada, "5", never)
		becomes := func(user, want string) {
			t.Helper()
			programtest.Eventually(t, "the events "+want, func() bool { return is(user) == want })
		}
		parked := func(want int) {
			t.Helper()
			programtest.Eventually(t, fmt.Sprintf("%d parked messages", want), func() bool {
				_, n, err := r.store.CountParked(t.Context(), "h")
				return err == nil && n == want
			})
		}
		stop := r.run()
		r.publish(ada, "1", "2", "3")
		r.publish(bob, "1", "2", "3")
		becomes(bob, "1 2 3")
		l := r.poisoned(1)[0]
		r.publish(ada, "4")
		parked(2)
		stop() // What is parked outlives the process.
		r.run()
		r.publish(bob, "4")
		becomes(bob, "1 2 3 4")
		if got := is(ada); got != "1" {
			t.Errorf("behind the poison message ada's events were handled as %s", got)
		}
		pitwheel(t, r.environ, "poison", "retry", l.ID).ok(t)
		becomes(ada, "1 2 3 4")
		r.publish(ada, "5", "6", "7")
		l = r.poisoned(1)[0]
		parked(2)
		pitwheel(t, r.environ, "poison", "discard", l.ID, "--reason", "a test").ok(t)
		becomes(ada, "1 2 3 4 6 7")
		r.publish(ada, "8")
		becomes(ada, "1 2 3 4 6 7 8")
		if keys, messages, err := r.store.CountParked(t.Context(), "h"); keys != 0 || messages != 0 || err != nil {
			t.Errorf("%d keys wait still, with %d messages, %v", keys, messages, err)
		}
	}, func() router.Handler {
		return router.On("h", func(_ context.Context, e router.Event[sample.Created]) error {
			mu.Lock()
			defer mu.Unlock()
			user, name := e.Data.UserID, e.Data.Name
			if left := failures[user+name]; len(left) > 0 {
				failures[user+name] = left[1:]
				return left[0]
			}
			handled[user] = append(handled[user], name)
			return nil
		}, router.Policy{Ordered: true, Attempts: 4})
	})
}
