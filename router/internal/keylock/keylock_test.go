package keylock_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/router/internal/keylock"
)

func TestLocks_OneAtATimeInOrder(t *testing.T) {
	t.Parallel()
	var locks keylock.Locks
	must(t, locks.Lock(t.Context(), "a"))
	must(t, locks.Lock(t.Context(), "b")) // Another key does not wait.
	locks.Unlock("b")

	const n = 20
	var order []int // guarded by the lock of "a"
	var all sync.WaitGroup
	for i := range n {
		waiting := make(chan struct{})
		all.Go(func() {
			ctx := signalled{t.Context(), waiting}
			must(t, locks.Lock(ctx, "a"))
			order = append(order, i)
			locks.Unlock("a")
		})
		<-waiting
	}
	locks.Unlock("a")
	all.Wait()
	for i := range n {
		if order[i] != i {
			t.Fatalf("the order is %v", order)
		}
	}
}

func TestLocks_WhoLeavesHoldsUpNobody(t *testing.T) {
	t.Parallel()
	var locks keylock.Locks
	must(t, locks.Lock(t.Context(), "a"))
	ctx, leave := context.WithCancel(t.Context())
	waiting, left := make(chan struct{}), make(chan error)
	go func() { left <- locks.Lock(signalled{ctx, waiting}, "a") }()
	<-waiting
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("it left with %v", err)
	}
	locks.Unlock("a")
	must(t, locks.Lock(t.Context(), "a"))
	locks.Unlock("a")
}

// Whoever comes and leaves when, no two ever work on one key, and all locks are free in
// the end.
func TestLocks_Property(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var locks keylock.Locks
		workers := rapid.IntRange(1, 8).Draw(t, "workers")
		keys := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), workers, workers).Draw(t, "keys")
		leaves := rapid.SliceOfN(rapid.Bool(), workers, workers).Draw(t, "leaves")
		var working [2]int // by key; the race detector finds two at once, too
		var all sync.WaitGroup
		for w := range workers {
			ctx, cancel := context.WithCancel(context.Background())
			all.Go(func() {
				defer cancel()
				if locks.Lock(ctx, keys[w]) != nil {
					return
				}
				at := &working[keys[w][0]-'a']
				if *at++; *at != 1 {
					t.Errorf("%d work on %s", *at, keys[w])
				}
				*at--
				locks.Unlock(keys[w])
			})
			if leaves[w] {
				all.Go(cancel)
			}
		}
		all.Wait()
		for _, key := range []string{"a", "b"} {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if err := locks.Lock(ctx, key); err != nil {
				t.Errorf("%s is still locked", key)
			}
		}
	})
}

// signalled is a context that reports when somebody begins to wait for its end.
type signalled struct {
	context.Context
	waiting chan struct{}
}

func (s signalled) Done() <-chan struct{} {
	select {
	case <-s.waiting:
	default:
		close(s.waiting)
	}
	return s.Context.Done()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
