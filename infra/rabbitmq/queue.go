package rabbitmq

import (
	"context"
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
)

// HasQueue reports whether a subscriber has ever declared a queue, named without its
// namespace. It waits for the broker up to [Config].PublishTimeout.
//
// Publishing into a queue declares it as well, but not its poison queue, which only
// subscribers do; so a queue counts if both are there, and a poison queue by itself.
func (b *Broker) HasQueue(ctx context.Context, name string) (bool, error) {
	ctx, cancel := b.cfg.within(ctx)
	defer cancel()
	queue := b.cfg.qualify(name)
	has, err := b.exists(ctx, queue)
	if !has || err != nil || events.IsPoisonQueue(queue) {
		return has, err
	}
	return b.exists(ctx, events.PoisonQueue(queue))
}

// exists reports whether the broker has a queue.
func (b *Broker) exists(ctx context.Context, queue string) (bool, error) {
	for {
		conn, err := b.consume.await(ctx)
		if err != nil {
			return false, err
		}
		err = declareOn(conn, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
			return err
		})
		var refusal *amqp.Error
		switch {
		case err == nil:
			return true, nil
		case errors.As(err, &refusal) && refusal.Code == amqp.NotFound:
			return false, nil
		case !conn.IsClosed():
			return false, events.Errorf(events.CodeUnavailable, "RabbitMQ does not say whether queue %s exists: %w", queue, err).MayRetry()
		}
	}
}
