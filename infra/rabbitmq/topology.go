package rabbitmq

import (
	"errors"
	"slices"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// exchange returns how every exchange is declared: durable and of type topic, so that the
// type of a message is its routing key.
func exchange(name string) amqp.ExchangeConfig {
	return amqp.ExchangeConfig{
		GenerateName: func(string) string { return name },
		Type:         amqp091.ExchangeTopic,
		Durable:      true,
	}
}

// queue returns how a queue is declared. A poison queue is recognised by its qualified
// name.
func (c Config) queue(name string, ordered bool) amqp.QueueConfig {
	args := amqp091.Table{amqp091.QueueTypeArg: c.QueueType}
	switch {
	case events.IsPoisonQueue(name):
		if c.QueueType == Quorum {
			// Browsing a poison queue counts as a delivery, and RabbitMQ 4 drops a message
			// after 20 of them by default.
			args["x-delivery-limit"] = 1 << 30
		}
	default:
		c.deadLetter(args, events.PoisonQueue(name))
		if c.QueueType == Quorum {
			args["x-delivery-limit"] = c.DeliveryLimit
		}
		if ordered {
			args["x-single-active-consumer"] = true
		}
	}
	return amqp.QueueConfig{
		GenerateName: amqp.GenerateQueueNameConstant(name),
		Durable:      true,
		Arguments:    args,
	}
}

// deadLetter adds the arguments by which a queue dead-letters its messages to another one.
func (c Config) deadLetter(args amqp091.Table, queue string) {
	args["x-dead-letter-exchange"] = ""
	args["x-dead-letter-routing-key"] = queue
	if c.QueueType == Quorum {
		// Without these two, dead-lettering may lose a message.
		args["x-dead-letter-strategy"] = "at-least-once"
		args["x-overflow"] = "reject-publish"
	}
}

// declare declares what a subscription needs.
func (c Config) declare(channel *amqp091.Channel, sub router.Subscription) error {
	queue, name := c.qualify(sub.Queue), ""
	if sub.Topic != "" {
		name = c.qualify(sub.Topic)
	}
	t := &topology{types: sub.Types}
	for _, key := range sub.Unbind {
		if !slices.Contains(sub.Types, key) {
			t.unbind = append(t.unbind, key)
		}
	}
	if !events.IsPoisonQueue(queue) {
		t.poison = c.queue(events.PoisonQueue(queue), false)
	}
	return t.BuildTopology(channel, queue, name, amqp.Config{
		Exchange: exchange(name),
		Queue:    c.queue(queue, sub.Ordered),
	}, watermill.NopLogger{})
}

// topology is watermill-amqp's TopologyBuilder for a handler's exchange, queue, poison
// queue and bindings; it uses the default one where that suffices. Bindings of types that
// the handler no longer subscribes to stay unless they are named: another instance may still
// be of the older version.
type topology struct {
	amqp.DefaultTopologyBuilder
	types  []string
	unbind []string         // types that the queue is not to receive
	poison amqp.QueueConfig // zero: the queue is a poison queue itself
}

var _ amqp.TopologyBuilder = (*topology)(nil)

// BuildTopology declares the poison queue first, so that the other never dead-letters to a
// queue that does not exist. Without the name of an exchange the queue is not bound.
func (t *topology) BuildTopology(channel *amqp091.Channel, queue, exchange string, config amqp.Config, log watermill.LoggerAdapter) error {
	if t.poison.GenerateName != nil {
		poison := config
		poison.Queue = t.poison
		if err := t.DefaultTopologyBuilder.BuildTopology(channel, t.poison.GenerateName(""), "", poison, log); err != nil {
			return explainDeclare(err, "queue", t.poison.GenerateName(""))
		}
	}
	if err := t.DefaultTopologyBuilder.BuildTopology(channel, queue, "", config, log); err != nil {
		return explainDeclare(err, "queue", queue)
	}
	if exchange == "" {
		return nil
	}
	if err := t.ExchangeDeclare(channel, exchange, config); err != nil {
		return explainDeclare(err, "exchange", exchange)
	}
	for _, key := range t.types {
		if err := channel.QueueBind(queue, key, exchange, false, nil); err != nil {
			return explainDeclare(err, "queue", queue)
		}
	}
	for _, key := range t.unbind { // What is not bound is not an error.
		if err := channel.QueueUnbind(queue, key, exchange, nil); err != nil {
			return explainDeclare(err, "queue", queue)
		}
	}
	return nil
}

// explainDeclare returns an error that names what could not be declared and, if it exists
// with other arguments, what to do.
func explainDeclare(err error, kind, name string) error {
	var a *amqp091.Error
	switch {
	case !errors.As(err, &a):
	case a.Code == amqp091.AccessRefused:
		return events.Errorf(events.CodeConfig, "RabbitMQ does not allow this user to declare %s %s: %w", kind, name, err).
			WithHint("give the user the permission to configure, write and read %s", name)
	case a.Code == amqp091.PreconditionFailed:
		return events.Errorf(events.CodeConfig, "RabbitMQ has the %s %s with other arguments than this application declares: %w", kind, name, err).
			WithHint("consume the rest of it and delete it (rabbitmqctl delete_queue, or the management UI), or configure the application to match its arguments")
	}
	return events.Errorf(events.CodeUnavailable, "RabbitMQ did not declare %s %s: %w", kind, name, err).MayRetry()
}
