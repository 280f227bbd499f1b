package router

import (
	"errors"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// park keeps the order of a key through failures, for handlers that ask for it. A
// message that has to leave its lane unhandled, to wait at the broker or in poison,
// blocks its key first; what comes after it is parked. When it is handled at last,
// the first parked message follows it into the queue and blocks the key in turn,
// until nothing is parked.
//
// Wherever this is interrupted, the message in hand is not acknowledged and comes
// again, and what was begun is done again; a message may come twice by that.
func (c *consumer) park(next message.HandlerFunc) message.HandlerFunc {
	calm := c.plan.calm
	if calm == nil {
		return next
	}
	return func(msg *message.Message) ([]*message.Message, error) {
		d := deliveryOf(msg.Context())
		key, id := parkingKey(c.key(msg)), d.envelope.ID
		if key == "" {
			return next(msg)
		}
		blocker, err := c.blocker(d, key, msg)
		if err == nil && blocker != "" && blocker != id {
			blocker, err = c.queueUp(d, key, blocker, msg)
		}
		if err != nil {
			return nil, aborted{err}
		}
		if blocker != "" && blocker != id {
			return nil, nil
		}
		out, err := next(msg)
		var given aborted
		switch {
		case errors.As(err, &given):
		case err != nil:
			if berr := c.block(d, key); berr != nil {
				return nil, aborted{berr}
			}
		case d.away:
			if berr := c.block(d, key); berr != nil {
				// Its place in its lane is as good, for as long as the store is away.
				c.logger.WarnContext(d, "key not blocked, its message rests in its lane", c.attrs(d, slog.Any("error", berr))...)
				d.keep = true
			}
		case blocker == id && (d.verdict == verdictHandled || d.verdict == verdictDuplicate):
			if rerr := c.release(d, key, id, true); rerr != nil {
				d.verdict = verdictAborted // It comes again, and is counted then.
				return nil, aborted{rerr}
			}
		}
		return out, err
	}
}

// parkingKey is a key as the store of parked messages knows it, and a letter.
func parkingKey(key string) string { return bounded(key, maxName) }

// blocker returns the id of the message that a key waits for, "" if it waits for none.
func (c *consumer) blocker(d *delivery, key string, msg *message.Message) (string, error) {
	// What may be a blocker itself must not be mistaken about that, or nobody would
	// release the key.
	meta := msg.Metadata
	if meta[events.MetaAttempts] == "" && meta[poison.MetaRetried] == "" && meta[events.MetaParked] == "" {
		if free, err := c.plan.calm.is(d); free || err != nil {
			return "", err
		}
	}
	return c.parking.KeyBlocker(d, c.plan.name, key)
}

// queueUp parks a message behind its key's blocker and returns that, as
// [Parking].ParkMessage does. A message that was handled before is not parked: behind
// a blocker that was handled, too, such messages would release each other in turn
// without end.
func (c *consumer) queueUp(d *delivery, key, blocker string, msg *message.Message) (string, error) {
	duplicate, err := c.handled(d, d.envelope.ID)
	if err != nil {
		return "", err
	}
	verdict := verdictDuplicate
	if !duplicate {
		verdict = verdictParked
		blocker, err = c.parking.ParkMessage(d, c.plan.name, key, d.envelope.ID, msg)
		if err != nil || blocker == "" || blocker == d.envelope.ID {
			return blocker, err
		}
	}
	if err := c.help(d, key, blocker); err != nil {
		return "", err
	}
	d.verdict = verdict
	return blocker, nil
}

// help releases a key if whoever was to do so has died over it: after its blocker
// was handled, or before the next one was put into the queue.
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

// handled tells whether a message was handled before, as far as anybody knows.
func (c *consumer) handled(d *delivery, id string) (bool, error) {
	if c.inbox == nil || c.plan.kind == KindCommand {
		return false, nil
	}
	return c.inbox.Seen(d, c.plan.name, id)
}

// block makes the message in hand the one that its key waits for.
func (c *consumer) block(d *delivery, key string) error {
	blocker, err := c.parking.BlockKey(d, c.plan.name, key, d.envelope.ID)
	c.plan.calm.disturb() // Also after an error, which may have come after the deed.
	if err == nil && blocker != d.envelope.ID {
		// Another instance has handled the key meanwhile. The message comes again, and is parked.
		err = events.Errorf(events.CodeConflict, "the key %.80q waits for the message %s already", key, blocker).MayRetry()
	}
	return err
}

// release lets a key go on after a message.
func (c *consumer) release(d *delivery, key, id string, handled bool) error {
	return poison.Release(d, c.parking, c.queues, poison.Blocker{Handler: c.plan.name, Queue: c.plan.policy.Queue, Key: key, MessageID: id}, handled)
}
