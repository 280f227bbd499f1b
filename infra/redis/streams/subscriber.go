package streams

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/subscription"
)

// closeTimeout is how long Close waits for running handlers.
const closeTimeout = 5 * time.Second

// Subscriber consumes a queue. It is safe for concurrent use. Ready returns nil also while
// it stands by for an instance that consumes.
type Subscriber struct {
	*subscription.Set
	transport *Transport
	cfg       router.Subscription
	log       *slog.Logger
}

// Subscriber prepares to consume a queue. Nothing is declared or consumed before
// SubscribeInitialize, Declare or Subscribe is called. A wrong subscription is an error
// with the code CONFIG.
func (t *Transport) Subscriber(cfg router.Subscription) (router.Subscriber, error) {
	cfg, err := subscription.Checked(cfg)
	if err != nil {
		return nil, err
	}
	return &Subscriber{
		Set: subscription.NewSet(cfg.Queue, closeTimeout), transport: t, cfg: cfg,
		log: t.conn.Logger().With("handler", cfg.Handler, "queue", cfg.Queue),
	}, nil
}

// SubscribeInitialize is [Subscriber.Declare] as Watermill has it, for any topic; an empty
// one is the configured one. It waits 10 s for Redis.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.declare(ctx, s.topic(topic), false)
}

// Declare creates the consumer groups, so that nothing published from now on is missed.
func (s *Subscriber) Declare(ctx context.Context) error { return s.declare(ctx, s.cfg.Topic, false) }

func (s *Subscriber) topic(given string) string {
	if given == "" {
		return s.cfg.Topic
	}
	return given
}

// declare creates the consumer group on each stream that feeds the queue. again says that
// this subscriber had declared it before.
func (s *Subscriber) declare(ctx context.Context, topic string, again bool) error {
	for _, stream := range s.transport.feeds(topic, s.cfg.Queue) {
		of := topic
		if stream != s.transport.streamKey(topic) {
			of = ""
		}
		if err := s.transport.bind(ctx, of, stream, s.cfg.Queue, s.cfg.Types, again); err != nil {
			return err
		}
	}
	return nil
}

// Subscribe starts to consume. The channel is closed when the subscription ends:
// by Drain, Close, or the end of ctx, which gives running handlers five seconds.
// It never ends by an error: what fails, also at its beginning, is repeated with backoff, and
// Ready returns why nothing is consumed. The other subscriptions go on meanwhile.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	topic = s.topic(topic)
	undeclared := s.declare(ctx, topic, false)
	var sub *consumer
	err := s.Add(ctx, func() subscription.Running {
		sub = newConsumer(s, topic, undeclared)
		return sub
	})
	if err != nil {
		return nil, err
	}
	return sub.out, nil
}
