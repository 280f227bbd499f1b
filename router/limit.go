package router

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/pitwheel/pitwheel/events"
)

// limit holds a handler to its rate, every attempt counted. A message that has to wait
// keeps its place; a stop does not wait for it.
func (c *consumer) limit(next stage) stage {
	perSecond := c.plan.policy.Rate
	if perSecond == 0 {
		return next
	}
	// The messages of a tenth of a second may come at once, so that the pauses are not
	// too short for the system's timers.
	limiter := rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/10)))
	return func(ctx context.Context, d *delivery) result {
		reservation := limiter.Reserve()
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
