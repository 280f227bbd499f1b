package router

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// delayTimeout bounds the handing over of a message to the broker, where it waits.
const delayTimeout = 15 * time.Second

// mostResting bounds how many messages of a handler rest in their lanes at once.
const mostResting = 64

// delay lets a message wait for its next attempt: a short pause in its lane, where
// its key rests and no worker is held; a longer one at the broker. Only when the
// broker has it is the message acknowledged. A broker that does not take it leaves
// it in its lane, and is asked again a little later.
func (c *consumer) delay(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		out, err := next(msg)
		d := deliveryOf(msg.Context())
		if err != nil || d.pause == 0 {
			return out, err
		}
		if d.away && !d.keep {
			err := c.handOver(d, msg)
			if err == nil {
				return nil, nil
			}
			c.logger.WarnContext(d, "message not delayed by the broker, it rests in its lane", c.attrs(d, slog.Any("error", err))...)
		}
		verdict := d.verdict
		d.giveBack(msg, min(d.pause, c.maxRest))
		d.verdict = verdict
		return nil, nil // The message is settled; Watermill's router need not log it again.
	}
}

func (c *consumer) handOver(d *delivery, msg *message.Message) error {
	ctx, cancel := context.WithTimeout(d.Context, delayTimeout)
	defer cancel()
	waiting := msg.Copy()
	waiting.SetContext(ctx)
	return c.delayed.Delay(ctx, c.plan.policy.Queue, d.pause, waiting)
}

// pauseFor settles how long a message waits, and where. What rests keeps its place in
// what the subscriber may have in hand: where many fail, those beyond a few wait at
// the broker however short their pause, so that the others go on at full speed.
func (c *consumer) pauseFor(d *delivery, pause time.Duration) {
	d.pause, d.away = pause, pause > c.maxRest
	if d.away {
		return
	}
	if c.resting.Add(1) > mostResting {
		c.resting.Add(-1)
		d.away = true
		return
	}
	time.AfterFunc(pause, func() { c.resting.Add(-1) })
}

// due keeps a message from its handler that came before its time: the broker has a
// longest delay, and a broker that was away has let it rest in its lane instead.
func (c *consumer) due(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		if at := msg.Metadata[events.MetaDue]; at != "" {
			when, err := time.Parse(time.RFC3339Nano, at)
			if wait := time.Until(when); err == nil && wait > 0 {
				d := deliveryOf(msg.Context())
				d.verdict = verdictEarly
				c.pauseFor(d, wait)
				return nil, nil
			}
		}
		return next(msg)
	}
}
