package main

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/dispatcher"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// The router without a broker: messages come from memory as fast as they are taken.

// feed contains messages, which subscribers copy.
type feed struct {
	msgs []*message.Message
}

// take returns the message with a number, as newly received.
func (f feed) take(i int) *message.Message {
	msg := message.NewMessage(f.msgs[i].UUID, f.msgs[i].Payload)
	msg.Metadata = f.msgs[i].Metadata // It is only written to when a handler fails.
	return msg
}

// source is the simplest subscriber there is.
type source struct {
	feed
	stop chan struct{}
	once sync.Once
}

// Subscribe delivers all messages.
func (s *source) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() { // It ends with Close.
		defer close(out)
		for i := range s.msgs {
			select {
			case out <- s.take(i):
			case <-s.stop:
				return
			}
		}
		<-s.stop
	}()
	return out, nil
}

// Close ends the subscription.
func (s *source) Close() error {
	s.once.Do(func() { close(s.stop) })
	return nil
}

// memoryTransport feeds messages to every subscriber through a keyed dispatcher, as the
// transports of the brokers do. What is published is dropped.
type memoryTransport struct{ feed }

func (memoryTransport) Publisher() message.Publisher { return sink{} }

func (memoryTransport) QueuePublisher() message.Publisher { return noPoison() }

func (memoryTransport) Delay(_ context.Context, queue string, _ time.Duration, msgs ...*message.Message) error {
	return noPoison().Publish(queue, msgs...)
}

func (memoryTransport) HasQueue(context.Context, string) (bool, error) { return true, nil }

func (t memoryTransport) Subscriber(s router.Subscription) (router.Subscriber, error) {
	ctx, cancel := context.WithCancel(context.Background())
	return &keyedSource{feed: t.feed, cfg: s, ctx: ctx, cancel: cancel}, nil
}

// keyedSource is a subscriber that delivers through a keyed dispatcher.
type keyedSource struct {
	feed
	cfg     router.Subscription
	ctx     context.Context //nolint:containedctx // It is the subscription's life.
	cancel  context.CancelFunc
	window  *dispatcher.Dispatcher[int]
	feeding sync.WaitGroup
	out     chan *message.Message
	once    sync.Once
}

func (*keyedSource) Declare(context.Context) error { return nil }

func (s *keyedSource) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	s.out = make(chan *message.Message)
	s.window = dispatcher.New(dispatcher.Config[int]{Concurrency: s.cfg.Concurrency}, s.out)
	s.feeding.Go(func() {
		for i := range s.msgs {
			msg := s.take(i)
			if s.window.Push(s.ctx, s.cfg.Key(msg), msg, i) != nil {
				return
			}
		}
	})
	return s.out, nil
}

func (s *keyedSource) Drain(ctx context.Context) error {
	s.cancel()
	if s.window == nil {
		return nil
	}
	err := s.window.Drain(ctx)
	s.feeding.Wait()
	s.once.Do(func() { close(s.out) })
	return err
}

func (s *keyedSource) Close() error { return s.Drain(context.Background()) }

func (s *keyedSource) Ready() error { return nil }

// freeInbox is an empty inbox without cost, so that only the router's own cost of using an
// inbox is measured.
type freeInbox struct{}

func (freeInbox) Seen(context.Context, string, string) (bool, error) { return false, nil }

func (freeInbox) Record(context.Context, string, string) error { return nil }

// inProcess measures the router alone: bare, with Watermill's five middlewares,
// and with Pitwheel's pipeline and keyed dispatcher.
func inProcess(n int) contest {
	f := feed{standard(n).messages()}
	shared := map[string]message.Metadata{} // One for each key saves memory.
	for _, m := range f.msgs {
		key := m.Metadata[events.MetaAggregateID]
		if shared[key] == nil {
			shared[key] = m.Metadata
		}
		m.Metadata = shared[key]
	}
	runtime.GC()
	watermill := func(bare bool) []contestant {
		return only(func(ctx context.Context) float64 {
			m := newMeter(n, n)
			src := &source{feed: f, stop: make(chan struct{})}
			return plainConsumer{subscribers: []message.Subscriber{src}, topic: topic, handle: plainReaction(m, 0), bare: bare}.run(ctx, m)
		})
	}
	return contest{limit: watermill(true), plain: watermill(false), pitwheel: only(f.through)}
}

// through sends the feed through Pitwheel's router.
func (f feed) through(ctx context.Context) float64 {
	m, store := newMeter(len(f.msgs), len(f.msgs)), &routertest.Store{}
	return whileRunning(ctx, router.Config{
		Catalogue: sample.Catalogue(), Handlers: []router.Handler{reaction(m, 0)}, Transport: memoryTransport{f},
		Log: store, Reader: store, Checkpoints: store, Projections: store, Elector: store, Inbox: freeInbox{},
	}, m.wait)
}
