package router

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/time/rate"

	"github.com/pitwheel/pitwheel/events"
)

// limit holds a handler to its messages a second, every attempt counted. What has
// to wait keeps its place; a stop does not wait for it.
func (c *consumer) limit(next message.HandlerFunc) message.HandlerFunc {
	perSecond := c.plan.policy.Rate
	if perSecond == 0 {
		return next
	}
	// A tenth of a second's worth may come at once, so that the pauses are not too
	// short for the system's timers.
	limiter := rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/10)))
	return func(msg *message.Message) ([]*message.Message, error) {
		d := deliveryOf(msg.Context())
		place := limiter.Reserve()
		if wait := place.Delay(); wait > 0 {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-c.stopping:
				place.Cancel()
				c.breaker.undecided(d.probe)
				return nil, aborted{events.Errorf(events.CodeShuttingDown, "the process stops before it was this message's turn")}
			}
		}
		return next(msg)
	}
}
