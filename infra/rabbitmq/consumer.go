package rabbitmq

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/dispatcher"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// consumer is one running subscription, across reconnects.
type consumer struct {
	broker    *Broker
	cfg       *declaration
	queue     string
	log       *slog.Logger
	marshaler Marshaler
	out       chan *message.Message
	window    *dispatcher.Dispatcher[delivery]

	intake   context.Context // ends when no more is received
	stop     context.CancelFunc
	drained  chan struct{} // closed when everything received is done
	drainOne sync.Once
	finished chan struct{} // closed when run has returned and all is acknowledged

	life   context.Context // ends when acknowledgements are not waited for any more
	giveUp context.CancelFunc

	mu       sync.Mutex
	err      error     // why it is not consuming
	receiver *receiver // the one that it receives with, or did last; nil: none yet
}

// delivery is what it takes to acknowledge a message.
type delivery struct {
	acker *acker
	tag   uint64
}

func newConsumer(b *Broker, cfg *declaration) *consumer {
	s := &consumer{
		broker: b, cfg: cfg, queue: b.cfg.qualify(cfg.Queue),
		marshaler: Marshaler{AppID: b.cfg.AppID},
		out:       make(chan *message.Message),
		drained:   make(chan struct{}),
		finished:  make(chan struct{}),
	}
	s.log = b.cfg.Logger.With(slog.String("handler", cfg.Handler), slog.String("queue", s.queue))
	s.err = events.Errorf(events.CodeUnavailable, "queue %s is not consumed yet", s.queue).MayRetry()
	s.intake, s.stop = context.WithCancel(context.Background())
	s.life, s.giveUp = context.WithCancel(context.Background())
	s.window = dispatcher.New(dispatcher.Config[delivery]{
		Concurrency: cfg.Concurrency,
		Window:      cfg.Prefetch,
		Overflow:    overflow(cfg.Subscription),
		Done:        func(d delivery, acked bool) { d.acker.finish(d.tag, acked) },
		Stale:       func(d delivery) bool { return d.acker.dead.Load() },
	}, s.out)
	return s
}

// run consumes until intake ends and everything is done. It declares and
// consumes again whenever connection, channel or queue is lost.
func (s *consumer) run() {
	defer close(s.finished)
	defer s.giveUp()
	pause := backoff.Backoff{Min: s.broker.cfg.MinBackoff, Max: s.broker.cfg.MaxBackoff}
	var loggedAt time.Time
	for s.intake.Err() == nil {
		conn, err := s.broker.consume.await(s.intake)
		if err != nil {
			s.set(err)
			break
		}
		channel, deliveries, err := s.open(conn)
		if err != nil {
			s.set(err)
			if time.Since(loggedAt) >= 3*time.Second {
				loggedAt = time.Now()
				s.log.Warn("cannot consume queue, trying again", slog.Any("error", err))
			}
			pause.Wait(s.intake)
			continue
		}
		s.set(nil)
		since := time.Now()
		s.consume(channel, deliveries)
		if s.intake.Err() != nil {
			break
		}
		s.set(events.Errorf(events.CodeUnavailable, "the consumer of queue %s was lost and is being restarted", s.queue).MayRetry())
		if time.Since(since) > s.broker.cfg.MaxBackoff {
			pause.Reset()
		}
		if !conn.IsClosed() { // Otherwise the link pauses.
			s.log.Warn("RabbitMQ cancelled the consumer, as when its queue is deleted; declaring it again")
			pause.Wait(s.intake)
		}
	}
	<-s.drained
}

// open declares everything and starts to consume.
func (s *consumer) open(conn *amqp.Connection) (*amqp.Channel, <-chan amqp.Delivery, error) {
	channel, err := conn.Channel()
	if err != nil {
		return nil, nil, s.unavailable(err)
	}
	deliveries, err := s.start(channel)
	if err != nil {
		_ = channel.Close() // The broker may have closed it already.
		return nil, nil, err
	}
	return channel, deliveries, nil
}

func (s *consumer) start(channel *amqp.Channel) (<-chan amqp.Delivery, error) {
	if err := s.broker.declarer.declare(channel, s.cfg); err != nil {
		return nil, err
	}
	if err := channel.Qos(s.cfg.Prefetch+overflow(s.cfg.Subscription), 0, false); err != nil {
		return nil, s.unavailable(err)
	}
	deliveries, err := channel.Consume(s.queue, s.tag(), false, false, false, false, nil)
	if err != nil {
		return nil, s.unavailable(err)
	}
	return deliveries, nil
}

// overflow is how many messages of busy keys are received beyond the window, so that they do
// not hold up other keys. The broker does not know keys: it may fill the overflow with any
// messages, which other instances then do not get. Hence it is small unless Ordered, with which
// one instance gets everything anyway.
func overflow(cfg router.Subscription) int {
	times := 3
	if cfg.Ordered {
		times = 15
	}
	return min(times*cfg.Prefetch, maxPrefetch-cfg.Prefetch)
}

// tag returns the consumer tag, which the broker shows. There is one consumer on a channel.
func (s *consumer) tag() string {
	tag := s.cfg.Handler
	if tag == "" {
		tag = s.cfg.Queue
	}
	return tag[:min(len(tag), maxShort)]
}

func (s *consumer) unavailable(err error) error {
	return events.Errorf(events.CodeUnavailable, "queue %s cannot be consumed: %w", s.queue, err).MayRetry()
}

func (s *consumer) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Ready returns why the queue is not consumed.
func (s *consumer) Ready() error {
	if s.intake.Err() != nil {
		return events.Errorf(events.CodeShuttingDown, "the subscription to queue %s has ended", s.queue)
	}
	if _, err := s.broker.consume.state(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Drain ends the subscription. It may be called again, and by several goroutines.
func (s *consumer) Drain(ctx context.Context) error {
	s.stop()
	err := s.window.Drain(ctx)
	s.drainOne.Do(func() {
		close(s.out)
		close(s.drained)
	})
	select {
	case <-s.finished:
		return err
	case <-ctx.Done():
	}
	// What was acked gets a moment to be acknowledged to the broker.
	select {
	case <-s.finished:
	case <-time.After(closeGrace):
		s.giveUp()
		err = errors.Join(err, ctx.Err())
	}
	return err
}
