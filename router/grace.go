package router

import (
	"context"
	"time"
)

// grace is how long a broker has at least to take a command, however soon its sender stops
// waiting: a command that arrives is worth more than an answer that it may not have.
const grace = time.Second

// withGrace returns a context that ends with ctx, but not before a second has passed.
func withGrace(ctx context.Context) (context.Context, context.CancelFunc) {
	earliest := time.Now().Add(grace)
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(time.Until(earliest), cancel) })
	return out, func() {
		stop()
		cancel()
	}
}
