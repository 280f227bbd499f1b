package router

import (
	"context"
	"time"

	"github.com/pitwheel/pitwheel/router/lazyctx"
)

// timeout bounds and times one attempt. The handler's context ends after the policy's
// timeout; a handler that ignores its context cannot be stopped from outside.
func (c *consumer) timeout(next stage) stage {
	bound := c.plan.policy.Timeout
	return func(ctx context.Context, d *delivery) result {
		started := time.Now()
		deadline := started.Add(bound)
		bounded := !d.until.IsZero() && d.until.Before(deadline)
		if bounded {
			deadline = d.until
		}
		attempt := lazyctx.New(ctx, deadline)
		defer attempt.End()
		r := next(attempt, d)
		c.metrics.attempt.Observe(time.Since(started).Seconds())
		if r.action == actionFail && (ctx.Err() != nil || bounded && attempt.Err() != nil) {
			return abort(r.err) // The process is stopping, or the caller's time is up; the handler has not failed.
		}
		return r
	}
}
