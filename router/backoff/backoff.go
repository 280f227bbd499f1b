// Package backoff paces attempts that follow failures: pauses double from a first one
// up to a limit, and are spread so that many instances do not come in waves.
//
//	pause := backoff.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}
//	for try() != nil {
//		if !pause.Wait(ctx) {
//			return ctx.Err()
//		}
//	}
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// After returns the pause after the n-th failure in a row, n from 1 on: first doubled
// n-1 times, at most limit, spread evenly over half to one and a half of that. Neither
// may be negative, nor limit more than a century.
func After(first, limit time.Duration, n int) time.Duration {
	pause := limit
	// Halving the limit, rather than doubling the first pause, cannot overflow.
	if first <= limit>>(n-1) {
		pause = first << (n - 1)
	}
	return pause/2 + rand.N(pause+1) //nolint:gosec // Spreading load needs no secret randomness.
}

// Backoff counts failures in a row and pauses after each. It is not safe for
// concurrent use.
type Backoff struct {
	// Min is the first pause, and Max the longest, before they are spread. Both must
	// be more than 0.
	Min, Max time.Duration

	failures int
}

// Wait pauses after a failure. It returns false if ctx ended first.
func (b *Backoff) Wait(ctx context.Context) bool {
	b.failures++
	return Wait(ctx, After(b.Min, b.Max, b.failures))
}

// Reset forgets the failures so far: the next pause is the first again.
func (b *Backoff) Reset() { b.failures = 0 }

// Wait waits for d. It returns false if ctx ended first.
func Wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
