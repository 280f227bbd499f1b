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
		id := d.envelope.AggregateID
		if id == "" { // The message of another producer may have it in its data only.
			id = c.key(d.msg)
		}
		key := turnOf(c.plan.typ().Aggregate, id)
		waiting := lazyctx.New(ctx, d.until)
		defer waiting.End()
		if err := c.turns.Lock(waiting, key); err != nil {
			return abort(err)
		}
		defer c.turns.Unlock(key)
		d.turn = key
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

// turnOf returns the key of an aggregate's turns.
func turnOf(aggregate, id string) string { return aggregate + " " + id }

// holdsTurn reports whether ctx is that of a handler which decides a command of the
// aggregate, or of a caller of one that does.
func holdsTurn(ctx context.Context, key string) bool {
	for d := deliveryOf(ctx); d != nil; d = deliveryOf(d.Context) {
		if d.turn == key {
			return true
		}
	}
	return false
}
