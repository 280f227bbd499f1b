package rabbitmq

import (
	"context"
	"errors"
	"strings"

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
	_, exists, err := b.inspect(ctx, queue)
	return exists, err
}

// inspect returns how many messages wait in a queue, and whether the broker has it.
func (b *Broker) inspect(ctx context.Context, queue string) (waiting int, exists bool, err error) {
	err = b.onChannel(ctx, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		waiting = q.Messages
		return err
	})
	var refusal *amqp.Error
	var ours *events.Error
	switch {
	case err == nil || errors.As(err, &ours):
		return waiting, err == nil, err
	// The code is the same if the queue has no leader at the moment.
	case errors.As(err, &refusal) && refusal.Code == amqp.NotFound && strings.Contains(refusal.Reason, "no queue"):
		return 0, false, nil
	}
	return 0, false, events.Errorf(events.CodeUnavailable, "RabbitMQ did not answer whether queue %s exists: %w", queue, err).MayRetry()
}

// onChannel calls f with a channel of the consuming connection, again whenever the
// connection is lost meanwhile, until ctx ends.
func (b *Broker) onChannel(ctx context.Context, f func(*amqp.Channel) error) error {
	for {
		conn, err := b.consume.await(ctx)
		if err != nil {
			return err
		}
		// The client waits for the broker's answer as long as the connection is open, which
		// may be three heartbeats.
		answer := make(chan error, 1)
		go func() { answer <- declareOn(conn, f) }()
		select {
		case err = <-answer:
		case <-ctx.Done():
			return events.Errorf(events.CodeUnavailable, "RabbitMQ at %s does not answer: %w", b.cfg.Address(), ctx.Err()).MayRetry()
		}
		if err == nil || !conn.IsClosed() {
			return err
		}
	}
}
