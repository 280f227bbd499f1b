package router

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// delayTimeout bounds the publishing of a message that is to wait at the broker.
	delayTimeout = 15 * time.Second
	// maxWaiting bounds how many messages of a handler wait in memory at once.
	maxWaiting = 64
)

// waitFor lets a message wait: in memory, where it holds up its key and no worker, or,
// for a pause longer than maxInMemory, at the broker. A message that waits in memory
// takes up prefetch: where many fail, those beyond maxWaiting wait at the broker
// however short their pause, so that the others go on at full speed.
func (c *consumer) waitFor(pause time.Duration, o outcome) result {
	r := result{action: actionWait, outcome: o, after: pause}
	switch {
	case pause > c.maxInMemory:
		r.action = actionDelay
	case c.waiting.Add(1) > maxWaiting:
		c.waiting.Add(-1)
		r.action = actionDelay
	default:
		time.AfterFunc(pause, func() { c.waiting.Add(-1) })
	}
	return r
}

// delay publishes a message that is to wait at the broker to a delay queue. Once the
// broker has confirmed it, the message is acknowledged. If that fails, it waits in memory,
// and is published a little later.
func (c *consumer) delay(next stage) stage {
	return func(ctx context.Context, d *delivery) result {
		r := next(ctx, d)
		if r.action != actionDelay {
			return r
		}
		if err := c.publishDelayed(d, r.after); err != nil {
			c.logger.WarnContext(d, "message not delayed by the broker, it waits in memory", d.attrs(slog.Any("error", err))...)
			return r.inMemory(c.maxInMemory)
		}
		return ack(r.outcome)
	}
}

// publishDelayed publishes a copy of a message that the broker delivers after the pause.
func (c *consumer) publishDelayed(d *delivery, pause time.Duration) error {
	ctx, cancel := context.WithTimeout(d.Context, delayTimeout)
	defer cancel()
	if err := c.place(d, events.PlaceDelayed, time.Now().Add(pause)); err != nil {
		return err
	}
	delayed := d.msg.Copy()
	delayed.SetContext(ctx)
	return c.delayer.Delay(ctx, c.plan.policy.Queue, pause, delayed)
}

// due lets a message wait on that was delivered before it is due: the broker has a
// longest delay, and a message that the broker could not delay waits in memory for
// less than its pause.
//
// While the router drains, a message whose attempts are counted waits at the broker, for
// the memory does not survive the stop; no further attempt is made.
func (c *consumer) due(next stage) stage {
	return func(ctx context.Context, d *delivery) result {
		pause := untilDue(d.msg)
		switch {
		case c.handsOver(d):
			return result{action: actionDelay, after: pause}
		case pause > 0:
			return c.waitFor(pause, uncounted)
		}
		r := next(ctx, d)
		if (r.action == actionWait || r.action == actionAbort) && c.handsOver(d) {
			r.action = actionDelay
		}
		return r
	}
}

// untilDue returns how long a message has to wait until its next attempt is due, 0 if it is.
func untilDue(msg *message.Message) time.Duration {
	at := msg.Metadata[events.MetaDue]
	if at == "" {
		return 0 // As with nearly all messages.
	}
	due, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return 0
	}
	return max(time.Until(due), 0)
}

// handsOver reports whether a message may wait at the broker only: the router drains, and
// the attempts counted so far would be lost with the memory.
func (c *consumer) handsOver(d *delivery) bool {
	select {
	case <-c.stopping:
		return d.msg.Metadata[events.MetaAttempts] != ""
	default:
		return false
	}
}
