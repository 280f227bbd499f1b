package rabbitmq

import (
	"context"
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
)

// HasQueue tells whether a queue exists, named without its namespace. It waits for
// the broker up to the publish timeout.
func (b *Broker) HasQueue(ctx context.Context, name string) (bool, error) {
	ctx, cancel := b.cfg.within(ctx)
	defer cancel()
	queue := b.cfg.qualify(name)
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
			return false, events.Errorf(events.CodeUnavailable, "RabbitMQ does not say whether there is a queue %s: %w", queue, err).MayRetry()
		}
	}
}
