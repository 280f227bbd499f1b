package rabbitmq

import (
	"context"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// destination is where the messages of one Publish go.
type destination struct {
	exchange string // empty: the default exchange, which routes to queues by name
	queue    string // the queue's name; empty: the routing key is the message's type
	// mandatory is whether every message must reach a queue. Otherwise only those must that a
	// known subscription wants.
	mandatory bool
	// declare is whether the queue, or whatever is bound to the exchange, must be declared
	// first.
	declare bool
	// binds is how often the exchange had been declared with what is bound to it when the
	// messages were returned. If it was since, for another call, that suffices.
	binds int
	// exists is whether a queue that does not exist is an error, and is not declared.
	exists bool
	// delay is set for the queue of a delay tier; it is declared once for each channel.
	delay *delay
}

func (d destination) key(msg *message.Message) string {
	if d.queue != "" {
		return d.queue
	}
	return msg.Metadata[events.MetaType]
}

func (b *Broker) exchangeRoute(topic string) destination {
	return destination{exchange: b.cfg.qualify(topic), mandatory: events.IsCommandTopic(topic)}
}

func (b *Broker) queueRoute(topic string) destination {
	return destination{queue: b.cfg.qualify(topic), mandatory: true}
}

// publisher publishes through the shared sender.
type publisher struct {
	sender *sender
	route  func(topic string) destination
	closed atomic.Bool
}

// Publish implements [message.Publisher]; [Broker.Publisher] describes it.
func (p *publisher) Publish(topic string, msgs ...*message.Message) error {
	if p.closed.Load() {
		return errClosed
	}
	if len(msgs) == 0 {
		return nil
	}
	to := p.route(topic)
	if topic == "" {
		return events.Errorf(events.CodeInvalid, "the RabbitMQ topic to publish to is empty")
	}
	items, err := p.sender.items(to, msgs)
	if err != nil {
		return err
	}
	ctx, cancel := p.sender.contextOf(msgs)
	defer cancel()
	return p.sender.publish(ctx, to, items)
}

// items marshals messages.
func (s *sender) items(to destination, msgs []*message.Message) ([]item, error) {
	if len(to.exchange)+len(to.queue) > maxShort {
		return nil, events.Errorf(events.CodeInvalid, "the name of the RabbitMQ %.300s is too long: with its namespace it may have at most %d bytes", to.name(), maxShort)
	}
	items := make([]item, len(msgs))
	for i, msg := range msgs {
		publishing, err := s.marshaler.Marshal(msg)
		if err != nil {
			return nil, err
		}
		items[i] = item{key: to.key(msg), publishing: publishing}
	}
	return items, nil
}

// Close makes Publish of this publisher fail. The connection stays open for others.
func (p *publisher) Close() error {
	p.closed.Store(true)
	return nil
}

// contextOf returns a context that ends when that of any message does.
func (s *sender) contextOf(msgs []*message.Message) (context.Context, context.CancelFunc) {
	ctx := msgs[0].Context()
	var merged context.Context
	var cancel context.CancelCauseFunc
	var stops []func() bool
	for _, msg := range msgs[1:] {
		// Usually all of them have the same one.
		other := msg.Context()
		if other.Done() == ctx.Done() || other.Done() == nil {
			continue
		}
		if merged == nil {
			merged, cancel = context.WithCancelCause(ctx)
		}
		stops = append(stops, context.AfterFunc(other, func() { cancel(context.Cause(other)) }))
	}
	if merged == nil {
		return s.cfg.within(ctx)
	}
	bounded, release := s.cfg.within(merged)
	return bounded, func() {
		release()
		for _, stop := range stops {
			stop()
		}
		cancel(nil)
	}
}
