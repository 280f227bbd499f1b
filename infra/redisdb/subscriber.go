package redisdb

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

// closePatience is how long Close waits for running handlers.
const closePatience = 5 * time.Second

// Subscriber consumes a queue. It is safe for concurrent use.
type Subscriber struct {
	store *Store
	cfg   router.Subscription
	log   *slog.Logger

	mu     sync.Mutex
	closed bool
	open   []*subscription
}

// Subscriber prepares consuming. Nothing is made or consumed before
// SubscribeInitialize or Subscribe is called.
func (s *Store) Subscriber(cfg router.Subscription) (router.Subscriber, error) {
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
	return &Subscriber{store: s, cfg: cfg, log: s.log.With("handler", cfg.Handler, "queue", cfg.Queue)}, nil
}

// SubscribeInitialize is [Subscriber.Declare] as Watermill has it, for a topic of the
// caller's choice; an empty one is the configured one. It waits 10 s for Redis.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.prepare(ctx, s.topic(topic))
}

// Declare makes the consumer groups, so that nothing published from now on is missed.
func (s *Subscriber) Declare(ctx context.Context) error { return s.prepare(ctx, s.cfg.Topic) }

func (s *Subscriber) topic(given string) string {
	if given == "" {
		return s.cfg.Topic
	}
	return given
}

// prepare makes the consumer group on each stream that feeds the queue.
func (s *Subscriber) prepare(ctx context.Context, topic string) error {
	for _, stream := range s.streams(topic) {
		of := topic
		if stream != s.store.streamKey(topic) {
			of = ""
		}
		if err := s.store.bind(ctx, of, stream, s.cfg.Queue, s.cfg.Types); err != nil {
			return err
		}
	}
	return nil
}

// streams are the topic's and the queue's own.
func (s *Subscriber) streams(topic string) []string {
	own := s.store.streamKey(s.cfg.Queue)
	if topic == "" || topic == s.cfg.Queue {
		return []string{own}
	}
	return []string{s.store.streamKey(topic), own}
}

// Subscribe starts to consume. The channel is closed when the subscription ends:
// by Drain, Close, or the end of ctx, which gives running handlers five seconds.
// It never ends by an error: what goes wrong, also at its beginning if Redis is
// away then, is tried again with backoff, and Ready says why nothing comes.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	topic = s.topic(topic)
	unprepared := s.prepare(ctx, topic)
	if unprepared != nil && events.CodeOf(unprepared) != events.CodeUnavailable {
		return nil, unprepared
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, events.Errorf(events.CodeShuttingDown, "the subscriber of %s is closed", s.cfg.Queue)
	}
	sub := newSubscription(s, topic, unprepared)
	s.open = append(s.open, sub)
	go func() {
		select {
		case <-ctx.Done():
			patience, cancel := context.WithTimeout(context.Background(), closePatience)
			defer cancel()
			_ = sub.drain(patience)
		case <-sub.ended:
		}
	}()
	return sub.out, nil
}

// Drain stops taking in messages at once, waits until every message handed out is
// settled and its acknowledgement is sent, and then ends the subscription. When
// ctx is over it gives up what is left, which another consumer takes over, and
// returns ctx's error.
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

// Close drains for at most five seconds. What is not settled by then is handed
// out again.
func (s *Subscriber) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // As it says.
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
		if err := sub.trouble(); err != nil {
			return err
		}
	}
	return nil
}
