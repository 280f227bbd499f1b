package routertest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/subscription"
)

// Transport carries messages in memory, with the routing of a topic exchange. The zero
// value is ready. It keeps the promises of [router.Transport], and so delivers messages
// of different keys at the same time; of one key it delivers one at a time, in order,
// across all subscribers of a queue.
type Transport struct {
	mu        sync.Mutex
	queues    map[string]*queue
	published map[string][]*message.Message
	delayed   int // messages that wait for their time
}

var _ router.Transport = (*Transport)(nil)

// Publisher publishes to topics.
func (t *Transport) Publisher() message.Publisher { return &publisher{publish: t.publish} }

// QueuePublisher publishes straight into queues.
func (t *Transport) QueuePublisher() message.Publisher { return &publisher{publish: t.deposit} }

// HasQueue reports whether a subscriber has ever declared a queue.
func (t *Transport) HasQueue(_ context.Context, name string) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[name]
	return q != nil && q.declared, nil
}

// Subscriber prepares to consume a queue.
func (t *Transport) Subscriber(s router.Subscription) (router.Subscriber, error) {
	s, err := subscription.Checked(s)
	if err != nil {
		return nil, err
	}
	return &subscriber{subscription.NewSet(s.Queue, closeGrace), t, s}, nil
}

// queue returns a queue, made if need be. The caller holds the lock.
func (t *Transport) queue(name string) *queue {
	if t.queues == nil {
		t.queues = map[string]*queue{}
	}
	if t.queues[name] == nil {
		t.queues[name] = &queue{changed: make(chan struct{})}
	}
	return t.queues[name]
}

// declare makes a queue and binds it.
func (t *Transport) declare(s router.Subscription) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queue(s.Queue)
	q.declared, q.topic, q.types = true, s.Topic, s.Types
	return q
}

func (t *Transport) publish(topic string, msgs ...*message.Message) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.published == nil {
		t.published = map[string][]*message.Message{}
	}
	for _, m := range msgs {
		routed := false
		for _, q := range t.queues {
			if q.takes(topic, m.Metadata[events.MetaType]) {
				routed = true
				q.add(m)
			}
		}
		if !routed && events.IsCommandTopic(topic) {
			return events.Errorf(events.CodeUnhandled, "no handler is bound to the command %s on %s", m.Metadata[events.MetaType], topic)
		}
		t.published[topic] = append(t.published[topic], m.Copy())
	}
	return nil
}

func (t *Transport) deposit(name string, msgs ...*message.Message) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range msgs {
		t.queue(name).add(m)
	}
	return nil
}

// Delay puts messages into a queue after d.
func (t *Transport) Delay(ctx context.Context, name string, d time.Duration, msgs ...*message.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	copies := make([]*message.Message, len(msgs))
	for i, m := range msgs {
		copies[i] = m.Copy()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.delayed += len(copies)
	time.AfterFunc(d, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.delayed -= len(copies)
		for _, m := range copies {
			t.queue(name).add(m)
		}
	})
	return nil
}

// idle reports whether no message is delayed, and every queue that is consumed is
// empty.
func (t *Transport) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.delayed > 0 {
		return false
	}
	for _, q := range t.queues {
		if q.consumed() && q.size() > 0 {
			return false
		}
	}
	return true
}

// publisher is one user's handle on the transport.
type publisher struct {
	publish func(string, ...*message.Message) error
	closed  atomic.Bool
}

// Publish publishes all messages, or none if the context of one of them has ended.
func (p *publisher) Publish(topic string, msgs ...*message.Message) error {
	if p.closed.Load() {
		return events.Errorf(events.CodeShuttingDown, "the publisher is closed")
	}
	if i := slices.IndexFunc(msgs, func(m *message.Message) bool { return m.Context().Err() != nil }); i >= 0 {
		return msgs[i].Context().Err()
	}
	return p.publish(topic, msgs...)
}

// Close makes this publisher refuse to publish.
func (p *publisher) Close() error {
	p.closed.Store(true)
	return nil
}
