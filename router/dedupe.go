package router

import (
	"context"
	"log/slog"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// dedupe recognises messages that the handler has handled before. It looks them up
// before the handler is called, and records them after it has succeeded: a message
// whose handler failed is never taken for a duplicate. Command handlers do not need it:
// the stored outcome recognises a repeated command.
//
// Events of our log are looked up in the ledger by their position, for which the answer is
// exact however old they are; all others by their id in the inbox, which forgets.
func (c *consumer) dedupe(next stage) stage {
	if c.plan.Kind() == KindCommand {
		return next
	}
	return c.dedupeOwed(c.dedupeForeign(next), next)
}

// dedupeOwed deduplicates the events that the handler owes an answer, and passes all others
// on to the stage for foreign ones. A message is acknowledged after its settlement is
// stored (Subscription.BeforeAck).
func (c *consumer) dedupeOwed(foreign, next stage) stage {
	if c.account == nil {
		return foreign
	}
	return func(ctx context.Context, d *delivery) result {
		if !d.owed {
			return foreign(ctx, d)
		}
		standing, err := c.account.ledger.Standing(d, d.handler, d.at)
		switch {
		case err != nil:
			return abort(err)
		case standing == events.NotOwed:
			d.owed = false
			return foreign(ctx, d)
		case standing == events.Settled && d.again() == "":
			return ack(outcomeDuplicate)
		}
		run := next
		if d.again() != "" || d.msg.Metadata[events.MetaHealed] != "" {
			// Handled again once, however often it is delivered. And what was delivered again may
			// have been handled when the ledger did not owe it yet: the inbox knows.
			run = foreign
		}
		r := run(ctx, d)
		if r.action == actionAck && (r.outcome == outcomeHandled || r.outcome == outcomeDuplicate) {
			c.account.ledger.Settle(d.handler, d.at, events.Handled)
		}
		return r
	}
}

// dedupeForeign deduplicates by the message's id.
func (c *consumer) dedupeForeign(next stage) stage {
	if c.inbox == nil {
		return next
	}
	return func(ctx context.Context, d *delivery) result {
		if d.undecodable != nil {
			return next(ctx, d)
		}
		id := poison.InboxID(d.envelope.ID, d.msg.Metadata)
		seen, err := c.inbox.Seen(d, d.handler, id)
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
		if err := c.inbox.Record(d, d.handler, id); err != nil {
			c.logger.WarnContext(d, "handled message not recorded, a redelivery would be handled again", d.attrs(slog.Any("error", err))...)
		}
		return r
	}
}

// again returns the name of the replay that has sent the message to be handled even though
// it was before; "" for any other message.
func (d *delivery) again() string { return d.msg.Metadata[events.MetaAgain] }
