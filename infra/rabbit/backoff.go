package rabbit

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is a pause that doubles, with jitter, until it is reset.
type backoff struct {
	min, max time.Duration
	next     time.Duration
}

func (b *backoff) reset() { b.next = 0 }

// wait pauses, and returns false if ctx was over first.
func (b *backoff) wait(ctx context.Context) bool {
	if b.next == 0 {
		b.next = b.min
	}
	// Between half and one and a half of it, so that many instances do not knock
	// at the same moment.
	pause := b.next/2 + rand.N(b.next)
	b.next = min(2*b.next, b.max)
	timer := time.NewTimer(min(pause, b.max))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
