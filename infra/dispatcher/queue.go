package dispatcher

import "github.com/ThreeDotsLabs/watermill/message"

// item is one delivery in the window. Items and queues are reused, because a consumer
// needs one of each for nearly every message.
type item[D any] struct {
	msg      *message.Message
	delivery D
	bytes    int          // of the payload
	queue    *keyQueue[D] // nil if the message has no key
	of       *generation  // in which it was accepted
	nacks    int          // how often it was nacked without asking for a pause
	last     bool         // it is delivered although the window is being drained
	next     *item[D]     // the next in its queue, or in the free list
}

// keyQueue is one key's queue. It exists as long as one item of the key is ready, delivered
// or waiting for its next attempt; the list contains those behind it.
type keyQueue[D any] struct {
	key         string
	first, last *item[D]
	length      int          // all items of the key
	next        *keyQueue[D] // in the free list
}

func (q *keyQueue[D]) push(it *item[D]) {
	if q.last == nil {
		q.first = it
	} else {
		q.last.next = it
	}
	q.last = it
}

// pop returns nil if the queue is empty.
func (q *keyQueue[D]) pop() *item[D] {
	it := q.first
	if it == nil {
		return nil
	}
	q.first = it.next
	if q.first == nil {
		q.last = nil
	}
	it.next = nil
	return it
}

func (d *Dispatcher[D]) newItem(msg *message.Message, delivery D) *item[D] {
	it := d.freeItem
	if it == nil {
		it = new(item[D])
	} else {
		d.freeItem = it.next
		it.next = nil
	}
	it.msg, it.delivery, it.bytes, it.of = msg, delivery, len(msg.Payload), d.present
	it.of.left++
	return it
}

func (d *Dispatcher[D]) dropItem(it *item[D]) {
	*it = item[D]{next: d.freeItem}
	d.freeItem = it
}

func (d *Dispatcher[D]) newQueue(key string) *keyQueue[D] {
	q := d.freeQueue
	if q == nil {
		q = new(keyQueue[D])
	} else {
		d.freeQueue = q.next
		q.next = nil
	}
	q.key = key
	d.queues[key] = q
	return q
}

func (d *Dispatcher[D]) dropQueue(q *keyQueue[D]) {
	delete(d.queues, q.key)
	*q = keyQueue[D]{next: d.freeQueue}
	d.freeQueue = q
}

// ring is a queue of items that grows as needed.
type ring[D any] struct {
	items []*item[D] // its length is a power of two
	head  int
	count int
}

func (r *ring[D]) push(it *item[D]) {
	if r.count == len(r.items) {
		bigger := make([]*item[D], max(16, 2*len(r.items)))
		n := copy(bigger, r.items[r.head:])
		copy(bigger[n:], r.items[:r.head])
		r.items, r.head = bigger, 0
	}
	r.items[(r.head+r.count)&(len(r.items)-1)] = it
	r.count++
}

// pop returns nil if the ring is empty.
func (r *ring[D]) pop() *item[D] {
	if r.count == 0 {
		return nil
	}
	it := r.items[r.head]
	r.items[r.head] = nil
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.count--
	return it
}
