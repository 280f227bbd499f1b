package rabbitmq

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

const (
	// moveBatch is how many messages are published together when a queue is moved.
	moveBatch = 256
	// moveQuiet is how long a queue that looks empty is listened to before it counts as such.
	moveQuiet = 300 * time.Millisecond
)

var _ router.QueueAdmin = (*Broker)(nil)

// Unbind is as in [router.QueueAdmin].
func (b *Broker) Unbind(ctx context.Context, topic, queue string, types ...string) error {
	for _, t := range types {
		err := b.onChannel(ctx, func(ch *amqp.Channel) error {
			return ch.QueueUnbind(b.cfg.qualify(queue), t, b.cfg.qualify(topic), nil)
		})
		if err != nil && !isMissing(err) {
			return adminError(err, "the binding of queue "+b.cfg.qualify(queue)+" to "+t+" was not removed")
		}
	}
	return nil
}

// sources returns the queues in which messages wait for the subscribers of a queue.
func (b *Broker) sources(queue string) []string {
	out := []string{b.cfg.qualify(queue)}
	for _, tier := range delayTiers() {
		out = append(out, b.cfg.qualify(queue)+tier.suffix)
	}
	return out
}

// CountQueue is as in [router.QueueAdmin].
func (b *Broker) CountQueue(ctx context.Context, of router.Subscription) (int, error) {
	sum := 0
	for _, source := range b.sources(of.Queue) {
		n, err := b.messages(ctx, source)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// MoveQueue is as in [router.QueueAdmin].
func (b *Broker) MoveQueue(ctx context.Context, from router.Subscription, to string) (int, error) {
	if from.Topic != "" {
		if err := b.Unbind(ctx, from.Topic, from.Queue, from.Types...); err != nil {
			return 0, err
		}
	}
	moved := 0
	for _, source := range b.sources(from.Queue) {
		for {
			n, err := b.moveOnce(ctx, source, to)
			moved += n
			if err != nil && !isMissing(err) {
				return moved, adminError(err, "queue "+source+" was not moved to its end")
			}
			// What was on its way when the consumer was closed is in the queue again.
			left, err := b.messages(ctx, source)
			if err != nil {
				return moved, err
			}
			if left == 0 {
				break
			}
		}
	}
	return moved, nil
}

// moveOnce moves what a queue has, until nothing comes any more. A message is acknowledged
// once the broker has confirmed its copy.
func (b *Broker) moveOnce(ctx context.Context, source, to string) (moved int, err error) {
	publisher := b.QueuePublisher()
	err = b.onChannel(ctx, func(ch *amqp.Channel) error {
		if err := ch.Qos(moveBatch, 0, false); err != nil {
			return err
		}
		// Only a consumer is served by every type of queue: one with a single active consumer
		// refuses basic.get.
		deliveries, err := ch.Consume(source, "move", false, false, false, false, nil)
		if err != nil {
			return err
		}
		for {
			batch, last, err := b.nextBatch(ctx, deliveries)
			if err != nil || len(batch) == 0 {
				return err
			}
			if err := publisher.Publish(to, batch...); err != nil {
				return err
			}
			if err := ch.Ack(last, true); err != nil {
				return err
			}
			moved += len(batch)
		}
	})
	return moved, err
}

// nextBatch returns the next messages, none if the queue has been quiet for a while, and
// the tag of the last one.
func (b *Broker) nextBatch(ctx context.Context, deliveries <-chan amqp.Delivery) (batch []*message.Message, last uint64, err error) {
	marshaler := Marshaler{AppID: b.cfg.AppID}
	quiet := time.NewTimer(moveQuiet)
	defer quiet.Stop()
	for len(batch) < moveBatch {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return nil, 0, amqp.ErrClosed
			}
			msg, _ := marshaler.Unmarshal(d) // It never fails.
			msg.SetContext(ctx)
			batch, last = append(batch, msg), d.DeliveryTag
		case <-quiet.C:
			return batch, last, nil
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	return batch, last, nil
}

// messages returns how many messages wait in a queue, 0 if there is no such queue.
func (b *Broker) messages(ctx context.Context, queue string) (n int, err error) {
	err = b.onChannel(ctx, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		n = q.Messages
		return err
	})
	if isMissing(err) {
		return 0, nil
	}
	return n, adminError(err, "the messages of queue "+queue+" were not counted")
}

// DeleteQueue is as in [router.QueueAdmin]. The topic is not used: RabbitMQ deletes the
// bindings with the queue. It has no if-unused for quorum queues, so that consumers are looked
// for before.
func (b *Broker) DeleteQueue(ctx context.Context, _, queue string) error {
	name, consumers := b.cfg.qualify(queue), 0
	err := b.onChannel(ctx, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		consumers = q.Consumers
		return err
	})
	if err != nil && !isMissing(err) {
		return adminError(err, "the consumers of queue "+name+" were not counted")
	}
	if consumers > 0 {
		return events.Errorf(events.CodeConfig, "queue %s is in use: %d consumers, instances of its handler, have it", name, consumers).
			WithHint("stop the processes that run the handler")
	}
	for _, name := range append(b.sources(queue), events.PoisonQueue(b.cfg.qualify(queue))) {
		err := b.onChannel(ctx, func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(name, false, false, false)
			return err
		})
		if err != nil && !isMissing(err) {
			return adminError(err, "queue "+name+" was not deleted")
		}
	}
	return nil
}

func isMissing(err error) bool {
	var refusal *amqp.Error
	return errors.As(err, &refusal) && refusal.Code == amqp.NotFound
}

// adminError returns an error of the client with what it is about, and others as they are.
func adminError(err error, what string) error {
	var ours *events.Error
	switch {
	case err == nil || errors.As(err, &ours) || errors.Is(err, context.Canceled):
		return err
	}
	return events.Errorf(events.CodeUnavailable, "%s: %w", what, err).MayRetry()
}
