package poison_test

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/router/poison"
)

// Whatever fails, before or after it was done, and whatever fails again meanwhile: no
// message is lost, and repeated operations come to an end.
func TestProperty_NothingIsLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		f, ctx := newFixture(rt), context.Background()
		n := rapid.IntRange(1, 100).Draw(rt, "messages")
		for i := range n {
			if err := f.store.Store.StorePoison(ctx, failed(i)); err != nil {
				rt.Fatal(err)
			}
		}
		faults := 20 // After these everything works.
		fault := func() error {
			if faults > 0 && rapid.Bool().Draw(rt, "fails") {
				faults--
				return errAway
			}
			return nil
		}
		failures := map[int]int{}
		f.store.before = func(string) error { return fault() }
		f.store.after = func(string) error { return fault() }
		f.queues.before = func(string, []string) error { return fault() }
		f.queues.after = func(string, []string) error {
			if i := rapid.IntRange(0, n-1).Draw(rt, "fails again"); failures[i] < 2 && f.queues.times(failed(i).MessageID) > 0 {
				failures[i]++
				m := failed(i)
				for range failures[i] {
					m = again(m)
				}
				if err := f.store.Store.StorePoison(ctx, m); err != nil {
					rt.Fatal(err)
				}
			}
			return fault()
		}
		discarded := map[string]bool{}
		for round := 0; ; round++ {
			if round > 1000 {
				rt.Fatal("there is no end")
			}
			left := map[string]poison.Message{}
			for m := range f.store.Store.PoisonMessages(ctx, poison.Filter{}, poison.OldestFirst) {
				left[m.MessageID] = m
			}
			for i := range n {
				id := failed(i).MessageID
				if _, kept := left[id]; !kept && !discarded[id] && f.queues.times(id) <= failures[i] {
					rt.Fatalf("message %d failed %d times after a retry, was published %d times, and is gone", i, failures[i], f.queues.times(id))
				}
			}
			if len(left) == 0 {
				break
			}
			p, err := f.Plan(ctx, poison.Selection{})
			if err != nil {
				continue
			}
			if rapid.Bool().Draw(rt, "retry") {
				_, _ = f.Retry(ctx, p, poison.Options{}) // What is left shows whether it worked.
				continue
			}
			for id := range left {
				discarded[id] = true
			}
			_, _ = f.Discard(ctx, p, poison.Options{})
		}
	})
}
