package routertest

import (
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/router"
)

// queue holds messages until they are acknowledged.
type queue struct {
	// The transport's lock protects these.
	declared bool
	topic    string
	types    []string

	mu        sync.Mutex
	entries   []*entry // in the order of their arrival
	consumers []*consumer
	changed   chan struct{} // closed and replaced at every change
}

// entry is one message of a queue.
type entry struct {
	msg   *message.Message
	key   string
	keyed bool // whether key is known
	// holder is the delivery that the message is out on, or waits for its next
	// attempt after; nil while it may be delivered.
	holder *delivery
}

// delivery is one attempt to have a message handled.
type delivery struct {
	entry *entry
	by    *consumer
}

// takes reports whether a message of a type on a topic belongs into the queue.
func (q *queue) takes(topic, kind string) bool {
	return q.declared && q.topic == topic && (len(q.types) == 0 || slices.Contains(q.types, kind))
}

func (q *queue) add(m *message.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries = append(q.entries, &entry{msg: m.Copy()})
	q.notify()
}

// notify is called with mu held.
func (q *queue) notify() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries)
}

// waiting returns how many messages no consumer has received.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, e := range q.entries {
		if e.holder == nil {
			n++
		}
	}
	return n
}

// heldBy returns what a subscription has received and not acknowledged.
func (q *queue) heldBy(s *consumer) map[*entry]bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	held := map[*entry]bool{}
	for _, e := range q.entries {
		if e.holder != nil && e.holder.by == s {
			held[e] = true
		}
	}
	return held
}

// left reports whether any of some messages is neither acknowledged nor taken over by
// another subscription, with a channel that is closed at the next change.
func (q *queue) left(s *consumer, of map[*entry]bool) (bool, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.entries, func(e *entry) bool {
		return of[e] && (e.holder == nil || e.holder.by == s)
	}), q.changed
}

func (q *queue) consumed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.consumers) > 0
}

func (q *queue) join(s *consumer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.consumers = append(q.consumers, s)
}

// leave gives back what a subscription still holds.
func (q *queue) leave(s *consumer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.consumers = slices.DeleteFunc(q.consumers, func(c *consumer) bool { return c == s })
	for _, e := range q.entries {
		if e.holder != nil && e.holder.by == s {
			e.holder = nil
		}
	}
	q.notify()
}

// claim takes the first message whose key nothing earlier in the queue holds up. It
// returns nil if there is none, with a channel that is closed at the next change.
func (q *queue) claim(s *consumer, cfg router.Subscription) (*delivery, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.running >= cfg.Concurrency || cfg.Ordered && q.consumers[0] != s {
		return nil, q.changed
	}
	received := 0
	for _, e := range q.entries {
		if e.holder != nil && e.holder.by == s {
			received++
		}
	}
	if received >= cfg.Prefetch {
		return nil, q.changed
	}
	earlier := map[string]bool{}
	for _, e := range q.entries {
		if !e.keyed {
			e.key, e.keyed = cfg.Key(e.msg), true
		}
		if e.holder == nil && (e.key == "" || !earlier[e.key]) {
			e.holder = &delivery{entry: e, by: s}
			s.running++
			return e.holder, nil
		}
		earlier[e.key] = true
	}
	return nil, q.changed
}

// handled makes room for another message. The key of this one waits until ack.
func (q *queue) handled(d *delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.by.running--
	q.notify()
}

// ack removes a message that was handled.
func (q *queue) ack(d *delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d.entry.holder == d {
		q.entries = slices.DeleteFunc(q.entries, func(e *entry) bool { return e == d.entry })
	}
	q.notify()
}

// nack delivers a message again after a pause, with the metadata that it has now.
func (q *queue) nack(d *delivery, m *message.Message, pause time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.by.running--
	if d.entry.holder == d {
		d.entry.msg = m
		time.AfterFunc(pause, func() { q.release(d) })
	}
	q.notify()
}

// release makes a message deliverable again, unless another delivery holds it.
func (q *queue) release(d *delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d.entry.holder == d {
		d.entry.holder = nil
	}
	q.notify()
}
