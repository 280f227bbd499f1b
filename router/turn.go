package router

import (
	"context"

	"github.com/pitwheel/pitwheel/router/lazyctx"
)

// turn lets the commands of one aggregate be decided one after the other, whatever their
// types and whichever way they came: from the queue or from a caller in this process.
// The log would refuse the later of two decisions, which is correct but slow. Together
// they also keep to the handler's concurrency.
func (c *consumer) turn(next stage) stage {
	if c.turns == nil {
		return next
	}
	return func(ctx context.Context, d *delivery) result {
		key := d.envelope.AggregateID
		if key == "" { // The message of another producer may have it in its data only.
			key = c.key(d.msg)
		}
		waiting := lazyctx.New(ctx, d.until)
		defer waiting.End()
		if err := c.turns.Lock(waiting, key); err != nil {
			return abort(err)
		}
		defer c.turns.Unlock(key)
		// The place comes second: those who wait for a busy aggregate take up none.
		select {
		case c.places <- struct{}{}:
		default:
			select {
			case c.places <- struct{}{}:
			case <-waiting.Done():
				return abort(waiting.Err())
			}
		}
		defer func() { <-c.places }()
		return next(ctx, d)
	}
}
