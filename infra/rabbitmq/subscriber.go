package rabbitmq

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// closeGrace is how long Close, or the end of Subscribe's context, waits for running
// handlers.
const closeGrace = time.Second

// checked validates a subscription and fills in the defaults.
func checked(c router.Subscription) (router.Subscription, error) {
	switch {
	case c.Queue == "":
		return c, events.Errorf(events.CodeConfig, "the RabbitMQ subscription of handler %q names no queue", c.Handler).WithField("Queue")
	case c.Topic == "" && len(c.Types) > 0:
		return c, events.Errorf(events.CodeConfig, "the RabbitMQ subscription of handler %q has the types %q and no topic", c.Handler, c.Types).WithField("Topic")
	case c.Topic != "" && len(c.Types) == 0 || slices.ContainsFunc(c.Types, func(t string) bool { return t == "" || len(t) > maxShort }):
		return c, events.Errorf(events.CodeConfig, "the RabbitMQ subscription of handler %q needs message types of 1 to %d bytes, not %q", c.Handler, maxShort, c.Types).WithField("Types")
	case c.Concurrency < 0:
		return c, events.Errorf(events.CodeConfig, "the concurrency of handler %q is negative: %d", c.Handler, c.Concurrency).WithField("Concurrency")
	case c.Prefetch < 0 || c.Prefetch > 65535:
		return c, events.Errorf(events.CodeConfig, "the prefetch of handler %q must be between 0 and 65535: %d", c.Handler, c.Prefetch).WithField("Prefetch")
	}
	setDefault(&c.Concurrency, 16)
	setDefault(&c.Prefetch, min(max(1024, 4*c.Concurrency), 65535))
	if c.Key == nil {
		c.Key = func(m *message.Message) string { return m.Metadata[events.MetaAggregateID] }
	}
	return c, nil
}

// Subscriber is a [router.Subscriber] of one queue. Its methods are safe for concurrent
// use.
type Subscriber struct {
	broker *Broker
	cfg    router.Subscription

	life context.Context // ends when it is drained or closed
	end  context.CancelFunc

	mu            sync.Mutex
	subscriptions map[*subscription]struct{}
}

func newSubscriber(b *Broker, cfg router.Subscription) *Subscriber {
	s := &Subscriber{broker: b, cfg: cfg, subscriptions: make(map[*subscription]struct{})}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Subscribe starts to consume and returns at once, even if the broker is unreachable:
// [Subscriber.Ready] reports when it consumes. The channel stays open, whatever happens to
// connection or queue, until Drain or Close is called or ctx ends, which is like Close. The
// topic must be that of the subscription, else the error has the code CONFIG.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if err := s.check(topic); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return nil, errClosed
	}
	sub := newSubscription(s.broker, s.cfg)
	s.subscriptions[sub] = struct{}{}
	cancelled := context.AfterFunc(ctx, func() { _ = sub.close() })
	s.broker.running.Go(func() {
		sub.run()
		cancelled()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subscriptions, sub)
	})
	return sub.out, nil
}

func (s *Subscriber) check(topic string) error {
	if topic != s.cfg.Topic {
		return events.Errorf(events.CodeConfig, "handler %q subscribes to topic %q, and its subscriber was made for %q", s.cfg.Handler, topic, s.cfg.Topic)
	}
	return nil
}

// Declare declares exchange, queue, poison queue and bindings, so that the queue receives
// everything published from then on. It waits for the broker until ctx ends; when the
// subscriber is drained or closed, or the broker is closed, it returns an error with the
// code SHUTTING_DOWN. Bindings of types that are no longer subscribed to remain.
func (s *Subscriber) Declare(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	err := s.declare(ctx)
	if err != nil && s.life.Err() != nil {
		return errClosed
	}
	return err
}

// declare tries until the broker has accepted or refused, or ctx ends.
func (s *Subscriber) declare(ctx context.Context) error {
	for {
		conn, err := s.broker.consume.await(ctx)
		if events.CodeOf(err) == events.CodeConfig && err != nil {
			// The broker refuses the connection. The code CONFIG would be about the queue.
			return events.Errorf(events.CodeUnavailable, "queue %s is not declared: %w", s.broker.cfg.qualify(s.cfg.Queue), err).MayRetry()
		}
		if err != nil {
			return err
		}
		// The client waits for the broker's answer as long as the connection is open, which
		// may be three heartbeats.
		answer := make(chan error, 1)
		go func() {
			answer <- declareOn(conn, func(ch *amqp.Channel) error { return s.broker.declare(ch, s.cfg) })
		}()
		select {
		case err = <-answer:
		case <-ctx.Done():
			return events.Errorf(events.CodeUnavailable, "RabbitMQ at %s did not answer the declaration of queue %s: %w",
				s.broker.cfg.address(), s.broker.cfg.qualify(s.cfg.Queue), ctx.Err()).MayRetry()
		}
		if err == nil || !conn.IsClosed() {
			return err
		}
	}
}

// Ready returns nil while the subscriber is consuming, else why it is not.
func (s *Subscriber) Ready() error {
	s.mu.Lock()
	subscriptions := slices.Collect(maps.Keys(s.subscriptions))
	s.mu.Unlock()
	if len(subscriptions) == 0 {
		return events.Errorf(events.CodeUnavailable, "handler %q has not started to consume queue %s, or has stopped", s.cfg.Handler, s.broker.cfg.qualify(s.cfg.Queue)).MayRetry()
	}
	for _, sub := range subscriptions {
		if err := sub.ready(); err != nil {
			return err
		}
	}
	return nil
}

// Drain stops receiving at once, waits until every delivered message is settled and its
// acknowledgement has reached the broker, and ends the subscription. When ctx ends it gives
// up what is left, which the broker delivers again, and returns ctx's error. It may be
// called again.
func (s *Subscriber) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.end()
	subscriptions := slices.Collect(maps.Keys(s.subscriptions))
	s.mu.Unlock()
	var draining sync.WaitGroup
	errs := make([]error, len(subscriptions))
	for i, sub := range subscriptions {
		draining.Go(func() { errs[i] = sub.drain(ctx) })
	}
	draining.Wait()
	s.broker.forget(s)
	return errors.Join(errs...)
}

// Close is Drain with a deadline of one second. Messages whose handlers have not finished
// by then are delivered again; that is not an error.
func (s *Subscriber) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if err := s.Drain(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
