package rabbitmq

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp091 "github.com/rabbitmq/amqp091-go"
)

// rung is one of the queues in which messages wait: all of them for the same time,
// so that the one in front is always the next to go.
type rung struct {
	name string // of the queue, after that of the queue that the messages are for
	ttl  time.Duration
}

// ladder are the rungs, the shortest first.
func ladder() []rung {
	return []rung{
		{".retry.1s", time.Second}, {".retry.2s", 2 * time.Second}, {".retry.5s", 5 * time.Second},
		{".retry.10s", 10 * time.Second}, {".retry.30s", 30 * time.Second},
		{".retry.1m", time.Minute}, {".retry.2m", 2 * time.Minute}, {".retry.5m", 5 * time.Minute},
		{".retry.15m", 15 * time.Minute}, {".retry.30m", 30 * time.Minute}, {".retry.1h", time.Hour},
	}
}

// rungFor is the shortest rung that is long enough, or the longest.
func rungFor(d time.Duration) rung {
	all := ladder()
	for _, r := range all {
		if r.ttl >= d {
			return r
		}
	}
	return all[len(all)-1]
}

// Delay puts messages, which a queue's own handler could not handle yet, where they
// come back into that queue no sooner than after d, and after an hour at the latest.
// They wait in a queue {queue}.retry.{1s|2s|5s|10s|30s|1m|2m|5m|15m|30m|1h}, which
// is declared when it is first needed. Delay returns when the broker has confirmed
// all of them; it is otherwise like Publish of [Broker.QueuePublisher].
func (b *Broker) Delay(ctx context.Context, queue string, d time.Duration, msgs ...*message.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	r := rungFor(d)
	to := destination{queue: b.cfg.qualify(queue) + r.name, mandatory: true, wait: &wait{ttl: r.ttl, then: b.cfg.qualify(queue)}}
	items, err := b.sender.items(to, msgs)
	if err != nil {
		return err
	}
	ctx, cancel := b.cfg.within(ctx)
	defer cancel()
	return b.sender.publish(ctx, to, items)
}

// wait says that a destination is a queue in which messages wait for a time, and
// which queue they go to then.
type wait struct {
	ttl  time.Duration
	then string
}

// waitingQueue is how such a queue is declared.
func (c Config) waitingQueue(name string, w wait) amqp.QueueConfig {
	args := amqp091.Table{
		amqp091.QueueTypeArg:        c.QueueType,
		amqp091.QueueMessageTTLArg:  w.ttl.Milliseconds(),
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": w.then,
	}
	if c.QueueType == Quorum {
		// Without these two the way back may lose a message.
		args["x-dead-letter-strategy"] = "at-least-once"
		args["x-overflow"] = "reject-publish"
	}
	return amqp.QueueConfig{GenerateName: amqp.GenerateQueueNameConstant(name), Durable: true, Arguments: args}
}
