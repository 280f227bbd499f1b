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

// closeGrace is how long Close, or the end of Subscribe's context, waits for
// handlers that are running.
const closeGrace = time.Second

// checked checks what is wanted and fills in the defaults. Types are binding
// keys: message types, or patterns of them.
func checked(c router.Subscription) (router.Subscription, error) {
	switch {
	case c.Queue == "":
		return c, events.Errorf(events.CodeConfig, "the subscription of handler %q to RabbitMQ names no queue", c.Handler)
	case c.Topic == "" && len(c.Types) > 0:
		return c, events.Errorf(events.CodeConfig, "the subscription of handler %q to RabbitMQ wants the types %q and names no topic", c.Handler, c.Types)
	case c.Topic != "" && len(c.Types) == 0 || slices.ContainsFunc(c.Types, func(t string) bool { return t == "" || len(t) > maxShort }):
		return c, events.Errorf(events.CodeConfig, "the subscription of handler %q to RabbitMQ needs message types of 1 to %d bytes, not %q", c.Handler, maxShort, c.Types)
	case c.Concurrency < 0:
		return c, events.Errorf(events.CodeConfig, "the concurrency of handler %q is negative: %d", c.Handler, c.Concurrency)
	case c.Prefetch < 0 || c.Prefetch > 65535:
		return c, events.Errorf(events.CodeConfig, "the prefetch of handler %q must be between 0 and 65535: %d", c.Handler, c.Prefetch)
	}
	setDefault(&c.Concurrency, 16)
	setDefault(&c.Prefetch, min(max(1024, 4*c.Concurrency), 65535))
	if c.Key == nil {
		c.Key = func(m *message.Message) string { return m.Metadata[events.MetaAggregateID] }
	}
	return c, nil
}

// Subscriber consumes one queue. It is Watermill's subscriber, with a gentle end
// and a pulse.
type Subscriber struct {
	broker *Broker
	cfg    router.Subscription

	life context.Context // over once it is drained or closed
	end  context.CancelFunc

	mu            sync.Mutex
	subscriptions map[*subscription]struct{}
}

func newSubscriber(b *Broker, cfg router.Subscription) *Subscriber {
	s := &Subscriber{broker: b, cfg: cfg, subscriptions: make(map[*subscription]struct{})}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Subscribe begins to consume and returns at once, also when the broker is away:
// [Subscriber.Ready] tells when it consumes. The channel stays open, whatever
// happens to connection or queue, until Drain or Close is called or ctx is over;
// the latter is like Close. The topic must be the configured one.
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

// SubscribeInitialize is [Subscriber.Declare] as Watermill has it, bounded by the
// publish timeout.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	if err := s.check(topic); err != nil {
		return err
	}
	ctx, cancel := s.broker.cfg.within(context.Background())
	defer cancel()
	return s.Declare(ctx)
}

// Declare declares exchange, queue, poison queue and bindings, so that nothing
// published from then on is lost. It waits for the broker until ctx ends, but no
// longer than the subscriber lives: once that is drained or closed, or the broker
// is, it returns an error with the code SHUTTING_DOWN.
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

// declare tries until the broker has said yes or no, or ctx is over.
func (s *Subscriber) declare(ctx context.Context) error {
	for {
		conn, err := s.broker.consume.await(ctx)
		if err != nil {
			return err
		}
		// The client waits for the broker's answer as long as the connection stands,
		// which may be three silent heartbeats.
		answer := make(chan error, 1)
		go func() {
			answer <- declareOn(conn, func(ch *amqp.Channel) error { return s.broker.declare(ch, s.cfg) })
		}()
		select {
		case err = <-answer:
		case <-ctx.Done():
			return events.Errorf(events.CodeUnavailable, "RabbitMQ at %s has not answered whether it declares queue %s: %w",
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
		return events.Errorf(events.CodeUnavailable, "handler %q has not begun to consume queue %s, or has stopped", s.cfg.Handler, s.broker.cfg.qualify(s.cfg.Queue)).MayRetry()
	}
	for _, sub := range subscriptions {
		if err := sub.ready(); err != nil {
			return err
		}
	}
	return nil
}

// Drain stops intake at once, waits until every message handed out is settled and
// its acknowledgement has reached the broker, and ends the subscription. When ctx
// is over it gives up what is left, which the broker delivers again, and returns
// ctx's error.
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

// Close is Drain for those in a hurry: handlers that run get one second, and then
// their messages are left to the broker.
func (s *Subscriber) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if err := s.Drain(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
