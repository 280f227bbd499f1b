package streams

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	// duePoll is how late a delay may be noticed that another process has begun. One
	// that is known is waited for exactly.
	duePoll = 200 * time.Millisecond
	// maxDue bounds the messages that one script moves, as nothing else runs meanwhile.
	maxDue = 64
)

// delayedKey is where the messages of a queue wait for their time. It is in the
// slot of the queue's stream, whose whole name is its tag.
func (t *Transport) delayedKey(queue string) string {
	return t.conn.Key("delayed:{" + t.streamKey(queue) + "}")
}

// Delay keeps messages and puts them into a queue once d is over and one of its
// subscribers runs. It returns when Redis has confirmed all of them, and honours ctx.
func (t *Transport) Delay(ctx context.Context, queue string, d time.Duration, msgs ...*message.Message) error {
	if queue == "" {
		return events.Errorf(events.CodeInvalid, "the queue for delayed messages has no name")
	}
	for len(msgs) > 0 {
		n := min(len(msgs), maxPublish)
		args := t.scripts.delay.Append(make([]any, 0, 5+n), t.delayedKey(queue))
		args = append(args, (d + time.Millisecond - 1).Milliseconds())
		for _, msg := range msgs[:n] {
			args = append(args, Pack(msg))
		}
		cmd := redis.NewCmd(ctx, args...)
		if err := t.publishes.Send(ctx, cmd); err != nil {
			return err
		}
		if err := cmd.Err(); err != nil {
			return t.conn.Explain(err)
		}
		msgs = msgs[n:]
	}
	return nil
}

// moveDue puts messages that are due into their queue, until intake ends. Every
// subscriber of a queue does so: what one of them has moved, the others do not find.
func (sub *consumer) moveDue() {
	for wait := time.Duration(0); backoff.Wait(sub.intake, wait); {
		next, err := sub.moveDueOnce()
		if err != nil {
			next = duePoll // The readers report that Redis is unreachable.
		}
		wait = min(max(next, time.Millisecond), duePoll)
	}
}

// moveDueOnce returns how long to wait until the next time.
func (sub *consumer) moveDueOnce() (time.Duration, error) {
	queue := sub.of.cfg.Queue
	keys := []string{sub.transport.delayedKey(queue), sub.transport.streamKey(queue)}
	for {
		reply, err := sub.conn.Run(sub.intake, sub.transport.scripts.due, keys, maxDue)
		if err != nil {
			return 0, err
		}
		pair, _ := reply.([]any)
		if len(pair) != 2 {
			return 0, events.Errorf(events.CodeInternal, "due.lua replied %v", reply)
		}
		if moved, _ := pair[0].(int64); moved == maxDue {
			continue
		}
		next, _ := pair[1].(int64)
		if next < 0 {
			return duePoll, nil
		}
		return time.Duration(next) * time.Millisecond, nil
	}
}
