package redisdb

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// duePoll is how long a delay may go unnoticed that another process has begun.
	// One that is known is waited for exactly.
	duePoll = 200 * time.Millisecond
	// dueAtOnce bounds what one script moves, as nothing else runs meanwhile.
	dueAtOnce = 64
)

// delayedKey is where the messages of a queue wait for their time. It is in the
// slot of the queue's stream, whose whole name is its tag.
func (s *Store) delayedKey(queue string) string {
	return s.prefix + "delayed:{" + s.streamKey(queue) + "}"
}

// Delay keeps messages, which a queue's own handler could not handle yet, and puts
// them back into that queue when d is over, as soon as one of its subscribers runs.
// It returns when Redis has confirmed them all, and honours ctx.
func (s *Store) Delay(ctx context.Context, queue string, d time.Duration, msgs ...*message.Message) error {
	if queue == "" {
		return events.Errorf(events.CodeInvalid, "messages are delayed for no queue")
	}
	for len(msgs) > 0 {
		n := min(len(msgs), postSize)
		args := make([]any, 0, 5+n)
		args = append(args, "evalsha", s.scripts.delay.Hash(), 1, s.delayedKey(queue), (d + time.Millisecond - 1).Milliseconds())
		for _, msg := range msgs[:n] {
			args = append(args, packMessage(msg))
		}
		cmd := redis.NewCmd(ctx, args...)
		if err := send(ctx, s.posts, cmd); err != nil {
			return err
		}
		if err := cmd.Err(); err != nil {
			return s.link.explain(err)
		}
		msgs = msgs[n:]
	}
	return nil
}

// moveDue hands over what has waited long enough, until intake ends. Every
// subscriber of a queue does so: what one of them has moved, the others do not find.
func (sub *subscription) moveDue() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-sub.intake.Done():
			return
		}
		wait, err := sub.moveDueOnce()
		if err != nil {
			wait = duePoll // The readers tell that Redis is away.
		}
		timer.Reset(min(max(wait, time.Millisecond), duePoll))
	}
}

// moveDueOnce returns when to look again.
func (sub *subscription) moveDueOnce() (time.Duration, error) {
	queue := sub.of.cfg.Queue
	keys := []string{sub.store.delayedKey(queue), sub.store.streamKey(queue)}
	for {
		reply, err := sub.store.run(sub.intake, sub.store.scripts.due, keys, dueAtOnce)
		if err != nil {
			return 0, err
		}
		pair, _ := reply.([]any)
		if len(pair) != 2 {
			return 0, events.Errorf(events.CodeInternal, "the script due answered %v", reply)
		}
		if moved, _ := pair[0].(int64); moved == dueAtOnce {
			continue
		}
		next, _ := pair[1].(int64)
		if next < 0 {
			return duePoll, nil
		}
		return time.Duration(next) * time.Millisecond, nil
	}
}
