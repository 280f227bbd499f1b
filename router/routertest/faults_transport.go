package routertest

import (
	"cmp"
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// Publisher puts the faults around a publisher. What is published waits no longer
// than the context of its first message allows.
func (f *Faults) Publisher(p message.Publisher) message.Publisher { return faultyPublisher{p, f} }

type faultyPublisher struct {
	message.Publisher
	f *Faults
}

func (p faultyPublisher) Publish(topic string, msgs ...*message.Message) error {
	hit := p.f.inject("Publish", topic, 0, len(msgs))
	ctx := context.Background()
	if len(msgs) > 0 {
		ctx = msgs[0].Context()
	}
	if err := hit.begin(ctx); err != nil {
		return err
	}
	err := p.Publisher.Publish(topic, disarranged(hit, msgs, (*message.Message).CopyWithContext)...)
	return cmp.Or(hit.lose, err)
}

// Transport puts the faults around all that a transport makes.
func (f *Faults) Transport(t router.Transport) router.Transport { return faultyTransport{t, f} }

type faultyTransport struct {
	router.Transport
	f *Faults
}

func (t faultyTransport) Publisher() message.Publisher { return t.f.Publisher(t.Transport.Publisher()) }

func (t faultyTransport) QueuePublisher() message.Publisher {
	return t.f.Publisher(t.Transport.QueuePublisher())
}

func (t faultyTransport) Delay(ctx context.Context, queue string, d time.Duration, msgs ...*message.Message) error {
	return act(ctx, t.f, "Delay", queue, func() error { return t.Transport.Delay(ctx, queue, d, msgs...) })
}

func (t faultyTransport) HasQueue(ctx context.Context, queue string) (bool, error) {
	return call(ctx, t.f, "HasQueue", queue, func() (bool, error) { return t.Transport.HasQueue(ctx, queue) })
}

// Mark and QueueDepth need a transport that is a [router.Marker].
func (t faultyTransport) Mark(ctx context.Context, topic, queue string, msg *message.Message) error {
	return act(ctx, t.f, "Mark", queue, func() error {
		m, err := as[router.Marker](t.Transport)
		if err != nil {
			return err
		}
		return m.Mark(ctx, topic, queue, msg.Copy())
	})
}

func (t faultyTransport) QueueDepth(ctx context.Context, topic, queue string) (n int, exists bool, err error) {
	n, err = call(ctx, t.f, "QueueDepth", queue, func() (n int, err error) {
		m, err := as[router.Marker](t.Transport)
		if err == nil {
			n, exists, err = m.QueueDepth(ctx, topic, queue)
		}
		return n, err
	})
	return n, exists, err
}

// as returns what a test has put faults around as a port that it may implement.
func as[P any](inner any) (P, error) {
	p, ok := inner.(P)
	if !ok {
		return p, events.Errorf(events.CodeConfig, "routertest: a %T is not a %T", inner, &p)
	}
	return p, nil
}

func (t faultyTransport) Subscriber(s router.Subscription) (router.Subscriber, error) {
	inner, err := t.Transport.Subscriber(s)
	if err != nil {
		return nil, err
	}
	return t.f.subscriber(inner, s.Queue, s.Key), nil
}

// idle reports whether nothing is held back that the queues have as handled.
func (t faultyTransport) idle() bool {
	if inner, ok := t.Transport.(faultyTransport); ok && !inner.idle() {
		return false
	}
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	return t.f.waiting == 0
}
