package routertest

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/backoff"
	"github.com/pitwheel/pitwheel/router/subscription"
)

// closeGrace is how long Close, or the end of Subscribe's context, waits for handlers
// that run.
const closeGrace = time.Second

// nackPause is the pause after a nack that asks for none: short, and not a hot loop.
const nackPause = time.Millisecond

// beforeAckPause is the pause after BeforeAck has failed.
const beforeAckPause = time.Millisecond

// subscriber consumes one queue.
type subscriber struct {
	*subscription.Set
	transport *Transport
	cfg       router.Subscription
}

// Declare makes the queue and binds it.
func (s *subscriber) Declare(context.Context) error {
	s.transport.declare(s.cfg)
	return nil
}

// Subscribe declares the queue and starts to deliver its messages.
func (s *subscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	c := &consumer{cfg: s.cfg, out: make(chan *message.Message), ended: make(chan struct{})}
	err := s.Add(ctx, func() subscription.Running {
		c.queue = s.transport.declare(s.cfg)
		c.intake, c.stop = context.WithCancel(context.WithoutCancel(ctx))
		c.life, c.abandon = context.WithCancel(context.WithoutCancel(ctx))
		c.queue.join(c)
		go c.run()
		return c
	})
	return c.out, err
}

// consumer is one running subscription.
type consumer struct {
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

// Ready returns nil until the subscription ends.
func (s *consumer) Ready() error {
	if s.intake.Err() != nil {
		return events.Errorf(events.CodeShuttingDown, "the subscription to %s has ended", s.cfg.Queue)
	}
	return nil
}

// run delivers until intake ends, and waits for what it has delivered.
func (s *consumer) run() {
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
func (s *consumer) await(d *delivery, m *message.Message) {
	select {
	case <-m.Acked():
		s.queue.handled(d)
		if s.mayAck() {
			s.queue.ack(d)
		}
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

// mayAck calls BeforeAck until it allows an acknowledgement. It returns false if the
// subscription ends first.
func (s *consumer) mayAck() bool {
	for s.cfg.BeforeAck != nil && s.cfg.BeforeAck(s.life) != nil {
		if !backoff.Wait(s.life, beforeAckPause) {
			return false
		}
	}
	return s.life.Err() == nil
}

// Flush returns nil once everything is acknowledged that is received by now.
func (s *consumer) Flush(ctx context.Context) error {
	received := s.queue.heldBy(s)
	for {
		left, changed := s.queue.left(s, received)
		if !left {
			return nil
		}
		select {
		case <-changed:
		case <-s.ended: // What is left is given back.
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Drain returns when everything delivered is acked or nacked, or abandoned as ctx has ended.
func (s *consumer) Drain(ctx context.Context) error {
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
