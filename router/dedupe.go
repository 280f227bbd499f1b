package router

import (
	"context"
	"log/slog"
)

// dedupe recognises messages that the handler has handled before. It looks them up
// before the handler is called, and records them after it has succeeded: a message
// whose handler failed is never taken for a duplicate. Command handlers do not need it:
// the stored outcome recognises a repeated command.
func (c *consumer) dedupe(next stage) stage {
	if c.inbox == nil || c.plan.Kind() == KindCommand {
		return next
	}
	return func(ctx context.Context, d *delivery) result {
		if d.undecodable != nil {
			return next(ctx, d)
		}
		seen, err := c.inbox.Seen(d, d.handler, d.envelope.ID)
		if err != nil {
			return abort(err)
		}
		if seen {
			return ack(outcomeDuplicate)
		}
		r := next(ctx, d)
		if r.outcome != outcomeHandled {
			return r
		}
		// The message is handled, whatever happens now. If it is not recorded, a
		// redelivery is handled again, and nothing else.
		if err := c.inbox.Record(d, d.handler, d.envelope.ID); err != nil {
			c.logger.WarnContext(d, "handled message not recorded, a redelivery would be handled again", d.attrs(slog.Any("error", err))...)
		}
		return r
	}
}
