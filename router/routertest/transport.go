package routertest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// Transport carries messages in memory, with the routing of a topic exchange. Its
// zero value is ready. Each queue hands out one message at a time, in order; a
// message that is not acknowledged is handed out again.
type Transport struct {
	mu        sync.Mutex
	queues    map[string]*queue
	published map[string][]*message.Message
	delayed   int // messages that wait for their time
}

// Publisher publishes to topics.
func (t *Transport) Publisher() message.Publisher { return publisher{t.publish} }

// QueuePublisher publishes straight into queues.
func (t *Transport) QueuePublisher() message.Publisher { return publisher{t.deposit} }

// HasQueue reports whether a queue was ever declared or published into.
func (t *Transport) HasQueue(_ context.Context, name string) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.queues[name] != nil, nil
}

// Subscriber prepares consuming, and declares the queue.
func (t *Transport) Subscriber(s router.Subscription) (router.Subscriber, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queue(s.Queue)
	q.topic, q.types = s.Topic, s.Types
	return &subscriber{queue: q, done: make(chan struct{})}, nil
}

// queue returns a queue, made if need be. The caller holds the lock.
func (t *Transport) queue(name string) *queue {
	if t.queues == nil {
		t.queues = map[string]*queue{}
	}
	if t.queues[name] == nil {
		t.queues[name] = &queue{news: make(chan struct{}, 1)}
	}
	return t.queues[name]
}

func (t *Transport) publish(topic string, msgs ...*message.Message) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.published == nil {
		t.published = map[string][]*message.Message{}
	}
	for _, m := range msgs {
		taken := false
		for _, q := range t.queues {
			if q.topic == topic && (len(q.types) == 0 || slices.Contains(q.types, m.Metadata[events.MetaType])) {
				taken = true
				q.add(m.Copy())
			}
		}
		if !taken && events.IsCommandTopic(topic) {
			return events.Errorf(events.CodeUnhandled, "nobody handles the command %s on %s", m.Metadata[events.MetaType], topic)
		}
		t.published[topic] = append(t.published[topic], m.Copy())
	}
	return nil
}

func (t *Transport) deposit(name string, msgs ...*message.Message) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range msgs {
		t.queue(name).add(m.Copy())
	}
	return nil
}

// Delay puts messages into a queue when their time has come.
func (t *Transport) Delay(_ context.Context, name string, d time.Duration, msgs ...*message.Message) error {
	waiting := make([]*message.Message, len(msgs))
	for i, m := range msgs {
		waiting[i] = m.Copy()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.delayed += len(waiting)
	time.AfterFunc(d, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.delayed -= len(waiting)
		for _, m := range waiting {
			t.queue(name).add(m)
		}
	})
	return nil
}

// idle tells whether nothing waits for its time, and no queue that is consumed has
// anything left.
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

type publisher struct {
	publish func(string, ...*message.Message) error
}

func (p publisher) Publish(topic string, msgs ...*message.Message) error {
	return p.publish(topic, msgs...)
}

func (publisher) Close() error { return nil }

// queue holds messages until they are acknowledged.
type queue struct {
	topic string
	types []string
	news  chan struct{}

	mu        sync.Mutex
	messages  []*message.Message
	consumers int
}

func (q *queue) add(m *message.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = append(q.messages, m)
	select {
	case q.news <- struct{}{}:
	default:
	}
}

func (q *queue) head() *message.Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) == 0 {
		return nil
	}
	return q.messages[0]
}

// replace puts a message back at the head, with the metadata that it has now.
func (q *queue) replace(m *message.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages[0] = m
}

func (q *queue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = q.messages[1:]
}

func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages)
}

func (q *queue) consumed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.consumers > 0
}

// subscriber hands out one queue's messages.
type subscriber struct {
	queue *queue
	once  sync.Once
	done  chan struct{}
	wg    sync.WaitGroup
}

// Declare has nothing to do: the queue stands already.
func (s *subscriber) Declare(context.Context) error { return nil }

// Subscribe starts handing out messages.
func (s *subscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	s.queue.mu.Lock()
	s.queue.consumers++
	s.queue.mu.Unlock()
	s.wg.Go(func() {
		defer close(out)
		defer func() {
			s.queue.mu.Lock()
			s.queue.consumers--
			s.queue.mu.Unlock()
		}()
		for s.next(ctx, out) {
		}
	})
	return out, nil
}

// next hands out the queue's head until it is acknowledged. It returns false
// when the subscription has ended.
func (s *subscriber) next(ctx context.Context, out chan<- *message.Message) bool {
	stopped := func() bool {
		select {
		case <-s.done:
			return true
		default:
			return ctx.Err() != nil
		}
	}
	if stopped() {
		return false
	}
	head := s.queue.head()
	if head == nil {
		select {
		case <-s.queue.news:
		case <-s.done:
			return false
		case <-ctx.Done():
			return false
		}
		return true
	}
	m := head.Copy()
	m.SetContext(context.WithoutCancel(ctx))
	select {
	case out <- m:
	case <-s.done:
		return false
	case <-ctx.Done():
		return false
	}
	select {
	case <-m.Acked():
		s.queue.drop()
		return true
	case <-m.Nacked():
	}
	pause, err := time.ParseDuration(m.Metadata[events.MetaPause])
	if err != nil {
		pause = time.Millisecond // A message given back comes again soon, but not in a hot loop.
	}
	delete(m.Metadata, events.MetaPause)
	s.queue.replace(m.Copy())
	select {
	case <-time.After(pause):
	case <-s.done:
	case <-ctx.Done():
	}
	return true
}

// Drain ends intake and waits for the message in hand.
func (s *subscriber) Drain(ctx context.Context) error {
	_ = s.Close()
	finished := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ready is nil once somebody has subscribed.
func (s *subscriber) Ready() error {
	if !s.queue.consumed() {
		return events.Errorf(events.CodeUnavailable, "nobody has subscribed yet")
	}
	return nil
}

// Close ends the subscription.
func (s *subscriber) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}
