package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Load that rows have in common: as much as can be, and a given rate.

// senders is how many commands wait for their outcome at once when throughput is
// measured.
const senders = 256

// concurrently calls f n times in all, from several workers, and returns how many calls a
// second there were. Mine is how often this worker has called it before, and i how often
// all of them have.
func concurrently(ctx context.Context, workers, n int, f func(ctx context.Context, worker, mine, i int) error) float64 {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	started := time.Now()
	for w := range min(workers, n) {
		group.Go(func() error {
			for mine := 0; ; mine++ {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := f(ctx, w, mine, i); err != nil {
					return err
				}
			}
		})
	}
	check(group.Wait())
	return perSecond(n, time.Since(started))
}

// timings calls f n times at a rate, whether or not earlier calls have returned, and returns
// how long each took, from when it was due.
func timings(ctx context.Context, rate float64, n int, f func(context.Context) error) []time.Duration {
	took := make([]time.Duration, n)
	group, groupCtx := errgroup.WithContext(ctx)
	err := paced(ctx, rate, n, func(i int, due time.Time) {
		group.Go(func() error {
			err := f(groupCtx)
			took[i] = time.Since(due)
			return err
		})
	})
	check(errors.Join(err, group.Wait()))
	return took
}

// paced calls f n times at a rate, and catches up when it is late: load from outside does
// not wait.
func paced(ctx context.Context, rate float64, n int, f func(i int, due time.Time)) error {
	started := time.Now()
	for i := range n {
		due := started.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if err := pause(ctx, time.Until(due)); err != nil {
			return err
		}
		f(i, due)
	}
	return ctx.Err()
}
