package routertest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// closeGrace is how long Close, or the end of Subscribe's context, waits for handlers
// that run.
const closeGrace = time.Second

// nackPause is the pause after a nack that asks for none: short, and not a hot loop.
const nackPause = time.Millisecond

// subscriber consumes one queue.
type subscriber struct {
	transport *Transport
	cfg       router.Subscription

	mu     sync.Mutex
	closed bool
	open   []*subscription
}

// Declare makes the queue and binds it.
func (s *subscriber) Declare(context.Context) error {
	s.transport.declare(s.cfg)
	return nil
}

// Subscribe declares the queue and starts to deliver its messages.
func (s *subscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, events.Errorf(events.CodeShuttingDown, "the subscriber of %s is closed", s.cfg.Queue)
	}
	sub := &subscription{queue: s.transport.declare(s.cfg), cfg: s.cfg, out: make(chan *message.Message), ended: make(chan struct{})}
	sub.intake, sub.stop = context.WithCancel(context.WithoutCancel(ctx))
	sub.life, sub.abandon = context.WithCancel(context.WithoutCancel(ctx))
	s.open = append(s.open, sub)
	sub.queue.join(sub)
	go sub.run()
	context.AfterFunc(ctx, func() { _ = sub.drainWithin(closeGrace) })
	return sub.out, nil
}

// Drain stops receiving and waits for the messages that are delivered.
func (s *subscriber) Drain(ctx context.Context) error {
	return s.end(func(sub *subscription) error { return sub.drain(ctx) })
}

// Close drains for at most a second.
func (s *subscriber) Close() error {
	return s.end(func(sub *subscription) error { return sub.drainWithin(closeGrace) })
}

func (s *subscriber) end(drain func(*subscription) error) error {
	s.mu.Lock()
	s.closed = true
	open := s.open
	s.mu.Unlock()
	errs := make([]error, len(open))
	var draining sync.WaitGroup
	for i, sub := range open {
		draining.Go(func() { errs[i] = drain(sub) })
	}
	draining.Wait()
	return errors.Join(errs...)
}

// Ready returns nil from Subscribe on until the subscription ends.
func (s *subscriber) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) == 0 {
		return events.Errorf(events.CodeUnavailable, "the queue %s is not subscribed to yet", s.cfg.Queue)
	}
	for _, sub := range s.open {
		if sub.intake.Err() != nil {
			return events.Errorf(events.CodeShuttingDown, "the subscription to %s has ended", s.cfg.Queue)
		}
	}
	return nil
}

// subscription is one running Subscribe.
type subscription struct {
	queue *queue
	cfg   router.Subscription
	out   chan *message.Message

	intake  context.Context //nolint:containedctx // Ends when no more is delivered.
	stop    context.CancelFunc
	life    context.Context //nolint:containedctx // Ends when what is delivered is abandoned.
	abandon context.CancelFunc
	ended   chan struct{} // closed when everything has ended

	running int // messages that are delivered and neither acked nor nacked; the queue's lock protects it
}

// run delivers until intake ends, and waits for what it has delivered.
func (s *subscription) run() {
	defer close(s.ended)
	defer close(s.out)
	defer s.queue.leave(s)
	var handlers sync.WaitGroup
	defer handlers.Wait()
	for s.intake.Err() == nil {
		d, changed := s.queue.claim(s, s.cfg)
		if d == nil {
			select {
			case <-changed:
			case <-s.intake.Done():
			}
			continue
		}
		m := d.entry.msg.Copy()
		ctx, cancel := context.WithCancel(s.life)
		m.SetContext(ctx)
		select {
		case s.out <- m:
			handlers.Go(func() {
				defer cancel()
				s.await(d, m)
			})
		case <-s.intake.Done():
			cancel()
			return // What is not delivered goes back to the queue.
		}
	}
}

// await acks or nacks a message as its handler does.
func (s *subscription) await(d *delivery, m *message.Message) {
	select {
	case <-m.Acked():
		s.queue.ack(d)
	case <-m.Nacked():
		pause, err := time.ParseDuration(m.Metadata[events.MetaPause])
		if err != nil {
			pause = nackPause
		}
		again := m.Copy()
		delete(again.Metadata, events.MetaPause)
		s.queue.nack(d, again, pause)
	case <-s.life.Done():
	}
}

// drain returns when everything delivered is acked or nacked, or abandoned as ctx has ended.
func (s *subscription) drain(ctx context.Context) error {
	s.stop()
	defer s.abandon()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
	}
	s.abandon()
	<-s.ended
	return ctx.Err()
}

// drainWithin is a drain that is cut short after d, which is not an error.
func (s *subscription) drainWithin(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	_ = s.drain(ctx)
	return nil
}
