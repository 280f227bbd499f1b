package router

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
)

// replay returns the stored outcome of a command that was decided before and whose handler
// fails now: it is neither tried again nor a poison message, unless another command has its
// id. As long as handlers succeed,
// the append finds that outcome, and nothing is looked up.
func (c *consumer) replay(next stage) stage {
	if c.outcomes == nil {
		return next
	}
	return func(ctx context.Context, d *delivery) result {
		r := next(ctx, d)
		if r.action != actionFail && r.action != actionPoison || d.envelope.AggregateID == "" {
			return r
		}
		stored, err := c.outcomes.Outcomes(ctx, []events.Receipt{receiptOf(&d.envelope)})
		if err != nil || stored[0].Status == "" {
			return r // Without the store, the failure counts.
		}
		if _, err := checkedOutcome(d.receipt(), stored[0]); err != nil && !d.executed {
			return giveUp(err) // It is another command, and never decided.
		}
		stored[0].Repeated = true
		r = ack(outcomeDuplicate)
		r.decided = &stored[0]
		return r
	}
}
