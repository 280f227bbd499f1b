package streams

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// closeTimeout is how long Close waits for running handlers.
const closeTimeout = 5 * time.Second

// Subscriber consumes a queue. It is safe for concurrent use.
type Subscriber struct {
	transport *Transport
	cfg       router.Subscription
	log       *slog.Logger

	mu     sync.Mutex
	closed bool
	open   []*subscription
}

// Subscriber prepares to consume a queue. Nothing is declared or consumed before
// SubscribeInitialize, Declare or Subscribe is called. A wrong subscription is an error
// with the code CONFIG.
func (t *Transport) Subscriber(cfg router.Subscription) (router.Subscriber, error) {
	if cfg.Queue == "" {
		return nil, events.Errorf(events.CodeConfig, "the handler %q has no queue", cfg.Handler)
	}
	if cfg.Topic == "" && len(cfg.Types) > 0 {
		return nil, events.Errorf(events.CodeConfig, "the handler %q has the types %q and no topic", cfg.Handler, cfg.Types)
	}
	if cfg.Concurrency < 0 || cfg.Prefetch < 0 {
		return nil, events.Errorf(events.CodeConfig, "the handler %q has the concurrency %d and the prefetch %d; neither can be negative", cfg.Handler, cfg.Concurrency, cfg.Prefetch)
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 16
	}
	if cfg.Prefetch == 0 {
		cfg.Prefetch = max(1024, 4*cfg.Concurrency)
	}
	if cfg.Key == nil {
		cfg.Key = func(m *message.Message) string { return m.Metadata[events.MetaAggregateID] }
	}
	return &Subscriber{transport: t, cfg: cfg, log: t.conn.Logger().With("handler", cfg.Handler, "queue", cfg.Queue)}, nil
}

// SubscribeInitialize is [Subscriber.Declare] as Watermill has it, for any topic; an empty
// one is the configured one. It waits 10 s for Redis.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.declare(ctx, s.topic(topic))
}

// Declare creates the consumer groups, so that nothing published from now on is missed.
func (s *Subscriber) Declare(ctx context.Context) error { return s.declare(ctx, s.cfg.Topic) }

func (s *Subscriber) topic(given string) string {
	if given == "" {
		return s.cfg.Topic
	}
	return given
}

// declare creates the consumer group on each stream that feeds the queue.
func (s *Subscriber) declare(ctx context.Context, topic string) error {
	for _, stream := range s.streams(topic) {
		of := topic
		if stream != s.transport.streamKey(topic) {
			of = ""
		}
		if err := s.transport.bind(ctx, of, stream, s.cfg.Queue, s.cfg.Types); err != nil {
			return err
		}
	}
	return nil
}

// streams are the topic's and the queue's own.
func (s *Subscriber) streams(topic string) []string {
	own := s.transport.streamKey(s.cfg.Queue)
	if topic == "" || topic == s.cfg.Queue {
		return []string{own}
	}
	return []string{s.transport.streamKey(topic), own}
}

// Subscribe starts to consume. The channel is closed when the subscription ends:
// by Drain, Close, or the end of ctx, which gives running handlers five seconds.
// It never ends by an error: what fails, also at its beginning if Redis is unreachable
// then, is repeated with backoff, and Ready says why nothing is consumed.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	topic = s.topic(topic)
	undeclared := s.declare(ctx, topic)
	if undeclared != nil && events.CodeOf(undeclared) != events.CodeUnavailable {
		return nil, undeclared
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, events.Errorf(events.CodeShuttingDown, "the subscriber of %s is closed", s.cfg.Queue)
	}
	sub := newSubscription(s, topic, undeclared)
	s.open = append(s.open, sub)
	go func() {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
			defer cancel()
			_ = sub.drain(ctx)
		case <-sub.ended:
		}
	}()
	return sub.out, nil
}

// Drain stops receiving at once, waits until every message delivered is acked and its
// acknowledgement is sent, and then ends the subscription. When ctx ends it gives up what
// is left, which another consumer reclaims, and returns ctx's error.
func (s *Subscriber) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	open := s.open
	s.mu.Unlock()
	errs := make([]error, len(open))
	var all sync.WaitGroup
	for i, sub := range open {
		all.Go(func() { errs[i] = sub.drain(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Close drains for at most five seconds. What is not acked by then is delivered again.
func (s *Subscriber) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // What is left is delivered again.
}

// Ready returns nil while the subscription is consuming, or standing by for an
// instance that is; else why it is not.
func (s *Subscriber) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) == 0 {
		return events.Errorf(events.CodeUnavailable, "the queue %s is not subscribed to yet", s.cfg.Queue)
	}
	for _, sub := range s.open {
		if sub.intake.Err() != nil {
			return events.Errorf(events.CodeShuttingDown, "the subscription to %s has ended", s.cfg.Queue)
		}
		if err := sub.lastError(); err != nil {
			return err
		}
	}
	return nil
}
