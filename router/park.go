package router

import (
	"context"
	"log/slog"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/text"
	"github.com/pitwheel/pitwheel/router/poison"
)

// park keeps the order of a key through failures, for handlers that ask for it. A
// message that leaves memory unhandled, to wait at the broker or in the poison queue,
// first becomes the blocker of its key; later messages of the key are parked. Once the
// blocker is handled, the first parked message goes into the queue and becomes the
// blocker in turn, until none is parked.
//
// Wherever this is interrupted, the message is not acknowledged: it is delivered again,
// and what was begun is repeated. A message may be delivered twice by that.
func (c *consumer) park(next stage) stage {
	if c.plan.blocked == nil {
		return next
	}
	return func(ctx context.Context, d *delivery) result {
		key, id := parkingKey(c.key(d.msg)), d.envelope.ID
		if key == "" {
			return next(ctx, d)
		}
		blocker, err := c.blocker(d, key)
		if err != nil {
			return abort(err)
		}
		if blocker != "" && blocker != id {
			var o outcome
			if blocker, o, err = c.queueUp(d, key, blocker); err != nil {
				return abort(err)
			}
			if blocker != "" && blocker != id {
				return ack(o)
			}
		}
		r := next(ctx, d)
		switch {
		case r.action == actionPoison:
			if err := c.block(d, key); err != nil {
				return abort(err)
			}
		case r.action == actionDelay:
			if err := c.block(d, key); err != nil {
				// For as long as the store cannot be reached, waiting in memory keeps the order.
				c.logger.WarnContext(d, "key not blocked, its message waits in memory", d.attrs(slog.Any("error", err))...)
				return r.inMemory(c.maxInMemory)
			}
		case blocker == id && (r.outcome == outcomeHandled || r.outcome == outcomeDuplicate):
			c.rememberBlocker(d, id)
			if err := c.release(d, key, id, true); err != nil {
				return abort(err) // It is delivered again, and counted then.
			}
		}
		return r
	}
}

// parkingKey returns a key as the parking store and poison messages have it.
func parkingKey(key string) string { return text.Cut(key, maxName) }

// blocker returns the id of the message that a key waits for, "" if it waits for none.
func (c *consumer) blocker(d *delivery, key string) (string, error) {
	// A message that may itself be the blocker must not rely on the cache, or nobody
	// would release the key.
	meta := d.msg.Metadata
	if meta[events.MetaAttempts] == "" && meta[poison.MetaRetried] == "" && meta[events.MetaParked] == "" {
		if none, err := c.plan.blocked.isEmpty(d); none || err != nil {
			return "", err
		}
	}
	return c.parking.KeyBlocker(d, c.plan.name, key)
}

// queueUp parks a message behind its key's blocker, which it returns as
// [Parking].ParkMessage does, and how the message counts. A message that was handled
// before is not parked: behind a blocker that was handled, too, such messages would
// release each other in turn without end.
func (c *consumer) queueUp(d *delivery, key, blocker string) (string, outcome, error) {
	o := outcomeDuplicate
	duplicate, err := c.isDuplicate(d)
	if err != nil {
		return "", o, err
	}
	if !duplicate {
		o = outcomeParked
		if err := c.place(d, events.PlaceParked, time.Time{}); err != nil {
			return "", o, err
		}
		blocker, err = c.parking.ParkMessage(d, c.plan.name, key, d.envelope.ID, d.msg)
		if err != nil || blocker == "" || blocker == d.envelope.ID {
			return blocker, o, err
		}
	}
	return blocker, o, c.help(d, key, blocker)
}

// help releases a key if the process that was to do so has died before: after the
// blocker was handled, or before the next one was put into the queue.
func (c *consumer) help(d *delivery, key, blocker string) error {
	handled, err := c.handled(d, blocker)
	switch {
	case err != nil:
		return err
	case handled:
		return c.release(d, key, blocker, true)
	}
	return c.release(d, key, d.envelope.ID, false)
}

// isDuplicate reports whether the handler has handled a message before.
func (c *consumer) isDuplicate(d *delivery) (bool, error) {
	if d.owed {
		if is, err := c.account.ledger.Standing(d, d.handler, d.at); err != nil || is != events.NotOwed {
			return is == events.Settled, err
		}
	}
	return c.handled(d, d.envelope.ID)
}

// rememberBlocker records in the inbox that a blocker was handled, for [consumer.help], which
// knows nothing but its id. The ledger knows events by their positions.
func (c *consumer) rememberBlocker(d *delivery, id string) {
	if d.owed && c.inbox != nil {
		_ = c.inbox.Record(d, d.handler, id) // Otherwise the key waits until the blocker is delivered again.
	}
}

// handled reports whether a message was handled before, as far as the inbox knows.
func (c *consumer) handled(d *delivery, id string) (bool, error) {
	if c.inbox == nil || c.plan.Kind() == KindCommand {
		return false, nil
	}
	return c.inbox.Seen(d, c.plan.name, id)
}

// block makes a message the one that its key waits for.
func (c *consumer) block(d *delivery, key string) error {
	blocker, err := c.parking.BlockKey(d, c.plan.name, key, d.envelope.ID)
	c.plan.blocked.add() // Also after an error: the write may have succeeded.
	if err == nil && blocker != d.envelope.ID {
		// Another instance has handled the key meanwhile. The message is delivered again, and parked.
		err = events.Errorf(events.CodeConflict, "the key %.80q waits for the message %s already", key, blocker).MayRetry()
	}
	return err
}

// release lets a key go on after a message.
func (c *consumer) release(d *delivery, key, id string, handled bool) error {
	return poison.Release(d, c.parking, c.queues, c.account.poisonLedger(), poison.Blocker{Handler: c.plan.name, Queue: c.plan.policy.Queue, Key: key, MessageID: id}, handled)
}
