package rabbitmq

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp091 "github.com/rabbitmq/amqp091-go"
)

// delayTier is one of the queues in which messages are delayed. All messages in it have
// the same TTL, as RabbitMQ expires messages only at the head of a queue.
type delayTier struct {
	suffix string // of the queue's name, after that of the queue the messages are for
	ttl    time.Duration
}

// delayTiers returns the tiers, shortest first.
func delayTiers() []delayTier {
	return []delayTier{
		{".retry.1s", time.Second}, {".retry.2s", 2 * time.Second}, {".retry.5s", 5 * time.Second},
		{".retry.10s", 10 * time.Second}, {".retry.30s", 30 * time.Second},
		{".retry.1m", time.Minute}, {".retry.2m", 2 * time.Minute}, {".retry.5m", 5 * time.Minute},
		{".retry.15m", 15 * time.Minute}, {".retry.30m", 30 * time.Minute}, {".retry.1h", time.Hour},
	}
}

// tierFor returns the shortest tier that is long enough, or the longest.
func tierFor(d time.Duration) delayTier {
	tiers := delayTiers()
	for _, tier := range tiers {
		if tier.ttl >= d {
			return tier
		}
	}
	return tiers[len(tiers)-1]
}

// Delay publishes messages into a delay tier, from where the broker moves them into the
// given queue no sooner than after d: the next longer one of 1, 2, 5, 10 and 30 s, 1, 2,
// 5, 15 and 30 min and 1 h, which is also the longest. Its queue is {queue}.retry.1s and
// so on, and is declared when it is first needed. Delay returns when the broker has
// confirmed all messages; otherwise it is like Publish of [Broker.QueuePublisher].
func (b *Broker) Delay(ctx context.Context, queue string, d time.Duration, msgs ...*message.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	tier := tierFor(d)
	to := destination{queue: b.cfg.qualify(queue) + tier.suffix, mandatory: true, delay: &delay{ttl: tier.ttl, then: b.cfg.qualify(queue)}}
	items, err := b.sender.items(to, msgs)
	if err != nil {
		return err
	}
	ctx, cancel := b.cfg.within(ctx)
	defer cancel()
	return b.sender.publish(ctx, to, items)
}

// delay marks a destination as the queue of a delay tier.
type delay struct {
	ttl  time.Duration
	then string // the queue that the messages are dead-lettered to
}

// delayQueue returns how the queue of a delay tier is declared.
func (c Config) delayQueue(name string, d delay) amqp.QueueConfig {
	args := amqp091.Table{amqp091.QueueTypeArg: c.QueueType, amqp091.QueueMessageTTLArg: d.ttl.Milliseconds()}
	c.deadLetter(args, d.then)
	return amqp.QueueConfig{GenerateName: amqp.GenerateQueueNameConstant(name), Durable: true, Arguments: args}
}
