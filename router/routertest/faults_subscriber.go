package routertest

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// swapWait is how long a message waits for the one that it is swapped with.
const swapWait = 50 * time.Millisecond

// Subscriber puts the faults around a subscriber. Its deliveries are named after
// the topic.
func (f *Faults) Subscriber(s router.Subscriber) router.Subscriber {
	return f.subscriber(s, "", func(*message.Message) string { return "" })
}

func (f *Faults) subscriber(s router.Subscriber, queue string, key func(*message.Message) string) *faultySubscriber {
	out := &faultySubscriber{Subscriber: s, f: f, queue: queue, key: key}
	out.stopping, out.stop = context.WithCancel(context.Background())
	out.ended, out.end = context.WithCancel(context.Background())
	return out
}

type faultySubscriber struct {
	router.Subscriber
	f     *Faults
	queue string // "": that of the topic
	key   func(*message.Message) string

	running sync.WaitGroup
	holding atomic.Int32 // how many messages are held back
	// stopping ends when nothing more may be delivered, and ended when nothing is
	// waited for any more.
	stopping, ended context.Context //nolint:containedctx // They are this subscriber's own.
	stop, end       context.CancelFunc
}

func (s *faultySubscriber) about(topic string) string { return cmp.Or(s.queue, topic) }

// Declare declares what the inner one does.
func (s *faultySubscriber) Declare(ctx context.Context) error {
	return act(ctx, s.f, "Declare", s.about(s.queue), func() error { return s.Subscriber.Declare(ctx) })
}

// Subscribe delivers what the inner one delivers, with the faults.
func (s *faultySubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := s.Subscriber.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	d := &deliveries{s: s, about: s.about(topic), out: make(chan *message.Message)}
	context.AfterFunc(ctx, s.stop)
	s.running.Go(func() { d.run(in) })
	return d.out, nil
}

// Flush flushes the inner one, and waits for what is held back here, which is acked there. It
// needs a subscriber that is a [router.Flusher].
func (s *faultySubscriber) Flush(ctx context.Context) error {
	return act(ctx, s.f, "Flush", s.queue, func() error {
		inner, err := as[router.Flusher](s.Subscriber)
		if err != nil {
			return err
		}
		if err := inner.Flush(ctx); err != nil {
			return err
		}
		for s.holding.Load() > 0 && s.ended.Err() == nil {
			if !backoff.Wait(ctx, time.Millisecond) {
				return ctx.Err()
			}
		}
		return nil
	})
}

// Drain drains the inner one, and waits for what is held back here.
func (s *faultySubscriber) Drain(ctx context.Context) error {
	s.stop()
	if err := s.Subscriber.Drain(ctx); err != nil {
		s.end()
		return err
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.end()
		return ctx.Err()
	}
}

// Close closes the inner one, and discards what is held back here.
func (s *faultySubscriber) Close() error {
	s.stop()
	err := s.Subscriber.Close()
	s.end()
	s.running.Wait()
	return err
}

// deliveries are one subscription.
type deliveries struct {
	s     *faultySubscriber
	about string
	out   chan *message.Message
	each  sync.WaitGroup
	// held is a message that waits for the next one of its key, and due when it has waited
	// long enough.
	held *message.Message
	due  <-chan time.Time
}

func (d *deliveries) run(in <-chan *message.Message) {
	defer close(d.out)
	defer d.each.Wait()
	for {
		select {
		case m, ok := <-in:
			if !ok {
				d.release()
				return
			}
			d.take(m)
		case <-d.due:
			d.release()
		}
	}
}

// take decides what becomes of a message. Messages of one key come one after the
// other, so each may go its own way.
func (d *deliveries) take(m *message.Message) {
	hit := d.s.f.inject("Deliver", d.about, 0, 2)
	switch {
	case d.held != nil && d.s.key(d.held) == d.s.key(m):
		d.deliver(m, hit)
		d.release()
	case hit.swap && d.held == nil:
		d.s.f.hold(1)
		d.s.holding.Add(1)
		d.held, d.due = m.Copy(), time.After(swapWait)
		d.held.SetContext(context.WithoutCancel(m.Context()))
		m.Ack()
	case hit.nothing():
		if !d.put(d.s.stopping, m) {
			m.Nack()
		}
	default:
		d.each.Go(func() { d.deliver(m, hit) })
	}
}

// deliver delivers copies of a message, and acks it if the last of them was acked.
func (d *deliveries) deliver(m *message.Message, hit injection) {
	if hit.begin(d.s.stopping) != nil {
		m.Nack()
		return
	}
	for again := hit.twice; ; again = false {
		c := m.CopyWithContext()
		if !d.put(d.s.stopping, c) || !d.handled(m.Context(), c) {
			m.UUID, m.Metadata = c.UUID, c.Metadata // A message may have been given an id.
			m.Nack()
			return
		}
		if !again {
			break
		}
	}
	if hit.lose != nil {
		m.Nack()
		return
	}
	m.Ack()
}

// release delivers the message that is held, until it is handled.
func (d *deliveries) release() {
	if d.held == nil {
		return
	}
	defer d.s.f.hold(-1)
	defer d.s.holding.Add(-1)
	m := d.held
	d.held, d.due = nil, nil
	for {
		c := m.CopyWithContext()
		if !d.put(d.s.ended, c) || d.handled(context.Background(), c) {
			return
		}
		pause, err := time.ParseDuration(c.Metadata[events.MetaPause])
		if err != nil {
			pause = time.Millisecond
		}
		m.UUID, m.Metadata = c.UUID, c.Metadata
		delete(m.Metadata, events.MetaPause)
		if !backoff.Wait(d.s.ended, pause) {
			return
		}
	}
}

// put delivers a message, unless ctx ends before it is received.
func (d *deliveries) put(ctx context.Context, m *message.Message) bool {
	select {
	case d.out <- m:
		return true
	case <-ctx.Done():
		return false
	}
}

// handled waits until a message is acked or nacked, or its delivery ends, and reports
// whether it was acked.
func (d *deliveries) handled(delivery context.Context, m *message.Message) bool {
	select {
	case <-m.Acked():
		return true
	case <-m.Nacked():
	case <-delivery.Done():
	case <-d.s.ended.Done():
	}
	return false
}

// hold counts the messages that are held back.
func (f *Faults) hold(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting += n
}
