package router

import (
	"log/slog"

	"github.com/ThreeDotsLabs/watermill/message"
)

// dedupe recognises what the handler has handled before. It works in two phases:
// it looks up before the handler and records after it has succeeded, so that a
// message whose handler failed is never taken for a duplicate. Command handlers
// need none of it: their stored outcome recognises a repeated command.
func (c *consumer) dedupe(next message.HandlerFunc) message.HandlerFunc {
	if c.inbox == nil || c.plan.kind == KindCommand {
		return next
	}
	return func(msg *message.Message) ([]*message.Message, error) {
		d := deliveryOf(msg.Context())
		if d.unreadable != nil {
			return next(msg)
		}
		seen, err := c.inbox.Seen(d, c.plan.name, d.envelope.ID)
		if err != nil {
			return nil, aborted{err}
		}
		if seen {
			d.verdict = verdictDuplicate
			return nil, nil
		}
		out, err := next(msg)
		if err != nil || d.verdict != verdictHandled {
			return out, err
		}
		// The message is handled, whatever happens now. Not having recorded it only
		// means that a redelivery would be handled again.
		if err := c.inbox.Record(d, c.plan.name, d.envelope.ID); err != nil {
			c.logger.WarnContext(d, "handled message not recorded, a redelivery would be handled again", c.attrs(d, slog.Any("error", err))...)
		}
		return out, nil
	}
}
