package router

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/pitwheel/pitwheel/events"
)

// newLimiter returns nil if the policy has no limit.
func newLimiter(p Policy) *rate.Limiter {
	if p.Rate == 0 {
		return nil
	}
	// The messages of a tenth of a second may come at once, so that the pauses are not
	// too short for the system's timers.
	return rate.NewLimiter(rate.Limit(p.Rate), max(1, int(p.Rate/10)))
}

// limit holds a handler to its rate, every attempt counted. A message that has to wait
// keeps its place; a stop does not wait for it.
func (c *consumer) limit(next stage) stage {
	if c.limiter == nil {
		return next
	}
	return func(ctx context.Context, d *delivery) result {
		reservation := c.limiter.Reserve()
		if wait := reservation.Delay(); wait > 0 {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-c.stopping:
				reservation.Cancel()
				return abort(events.Errorf(events.CodeShuttingDown, "the process stops before it was this message's turn"))
			}
		}
		return next(ctx, d)
	}
}
