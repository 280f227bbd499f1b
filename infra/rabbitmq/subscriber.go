package rabbitmq

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/subscription"
)

// closeGrace is how long Close, or the end of Subscribe's context, waits for running
// handlers.
const closeGrace = time.Second

// maxPrefetch is the largest number that basic.qos can ask for.
const maxPrefetch = 65535

// checked validates a subscription and fills in the defaults.
func checked(c router.Subscription) (router.Subscription, error) {
	if c.Prefetch == 0 {
		c.Prefetch = min(max(1024, 4*c.Concurrency), maxPrefetch)
	}
	c, err := subscription.Checked(c)
	if err != nil {
		return c, err
	}
	switch {
	case c.Topic != "" && len(c.Types) == 0 || slices.ContainsFunc(slices.Concat(c.Types, c.Unbind), func(t string) bool { return t == "" || len(t) > maxShort }):
		return c, events.Errorf(events.CodeConfig, "the RabbitMQ subscription of handler %q needs message types of 1 to %d bytes, not %q", c.Handler, maxShort, c.Types).WithField("Types")
	case c.Prefetch > maxPrefetch:
		return c, events.Errorf(events.CodeConfig, "the prefetch of handler %q must be between 0 and 65535: %d", c.Handler, c.Prefetch).WithField("Prefetch")
	}
	return c, nil
}

var _ router.Flusher = (*Subscriber)(nil)

// Subscriber is a [router.Subscriber] of one queue. Its methods are safe for concurrent
// use.
type Subscriber struct {
	*subscription.Set
	broker *Broker
	cfg    *declaration

	mu        sync.Mutex
	consumers []*consumer // those that have not finished
}

func newSubscriber(b *Broker, cfg router.Subscription) *Subscriber {
	return &Subscriber{
		Set:    subscription.NewSet(b.cfg.qualify(cfg.Queue), closeGrace),
		broker: b,
		cfg:    &declaration{Subscription: cfg},
	}
}

// Subscribe starts to consume and returns at once, even if the broker is unreachable: Ready
// reports when it consumes. The channel stays open, whatever happens to connection or
// queue, until Drain or Close is called or ctx ends, which is like Close. The topic must be
// that of the subscription, else the error has the code CONFIG.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if topic != s.cfg.Topic {
		return nil, events.Errorf(events.CodeConfig, "handler %q subscribes to topic %q, and its subscriber was made for %q", s.cfg.Handler, topic, s.cfg.Topic)
	}
	if !s.begin() {
		return nil, errClosed
	}
	var sub *consumer
	err := s.Add(ctx, func() subscription.Running {
		sub = newConsumer(s.broker, s.cfg)
		s.broker.running.Go(sub.run)
		return sub
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consumers = append(s.unfinished(), sub)
	return sub.out, nil
}

// unfinished is called with mu held.
func (s *Subscriber) unfinished() []*consumer {
	return slices.DeleteFunc(s.consumers, func(c *consumer) bool {
		select {
		case <-c.finished:
			return true
		default:
			return false
		}
	})
}

// Flush is as in [router.Flusher]. A message counts as received once the broker has sent it
// here. If ctx ends first, the error has the code TIMEOUT.
func (s *Subscriber) Flush(ctx context.Context) error {
	s.mu.Lock()
	s.consumers = s.unfinished()
	consumers := slices.Clone(s.consumers)
	s.mu.Unlock()
	for _, c := range consumers {
		if err := c.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin makes the subscription known to publishers. It returns false after Drain or Close.
func (s *Subscriber) begin() bool {
	s.broker.declarer.add(s.cfg)
	if s.Life().Err() != nil { // Close may have forgotten it before it was added.
		s.broker.declarer.remove(s.cfg)
		return false
	}
	return true
}

// Declare declares exchange, queue, poison queue and bindings, so that the queue receives
// everything published from then on. It waits for the broker until ctx ends; when the
// subscriber is drained or closed, or the broker is closed, it returns an error with the
// code SHUTTING_DOWN. Bindings of types that are no longer subscribed to remain,
// unless Unbind has them.
func (s *Subscriber) Declare(ctx context.Context) error {
	if !s.begin() {
		return errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.Life(), cancel)()
	err := s.broker.onChannel(ctx, func(ch *amqp.Channel) error { return s.broker.declarer.declare(ch, s.cfg) })
	switch {
	case err == nil:
		return nil
	case s.Life().Err() != nil:
		return errClosed
	case events.CodeOf(err) == events.CodeConfig:
		if _, refused := s.broker.consume.state(); refused != nil {
			// The broker refuses the connection. The code CONFIG would be about the queue.
			return events.Errorf(events.CodeUnavailable, "queue %s is not declared: %w", s.broker.cfg.qualify(s.cfg.Queue), err).MayRetry()
		}
	}
	return err
}

// Ready returns nil while the queue is consumed, and otherwise why it is not: with the code
// CONFIG while the broker refuses to declare it, also if it is not to be consumed here.
func (s *Subscriber) Ready() error {
	err := s.Set.Ready()
	if refused := s.cfg.refusal(); refused != nil && s.Life().Err() == nil {
		return refused
	}
	return err
}

// Close is Drain with a deadline of one second. Messages whose handlers have not finished
// by then are delivered again; that is not an error. Until Close is called, also after Drain,
// publishers of the Broker see to it that the queue receives what it is to receive.
func (s *Subscriber) Close() error {
	defer s.broker.forget(s)
	return s.Set.Close()
}
