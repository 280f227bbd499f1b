// Package keylock has locks by key: of those who work on one key, one works at a time,
// in the order in which they came. Different keys do not wait for each other.
package keylock

import (
	"container/list"
	"context"
	"sync"
)

// Locks are locks by key. The zero value is ready for use, and safe for concurrent use.
// A key that nobody works on takes no memory.
type Locks struct {
	mu sync.Mutex
	// queues has, for each key that is locked, those who wait for it: each is let in when
	// its channel is closed. It is nil while nobody waits.
	queues map[string]*list.List
}

// Lock waits until it is the caller's turn. If ctx ends first, its error is returned, and
// nothing is locked.
func (l *Locks) Lock(ctx context.Context, key string) error {
	l.mu.Lock()
	if l.queues == nil {
		l.queues = map[string]*list.List{}
	}
	queue, locked := l.queues[key]
	if !locked {
		l.queues[key] = nil
		l.mu.Unlock()
		return nil
	}
	if queue == nil {
		queue = list.New()
		l.queues[key] = queue
	}
	turn := make(chan struct{})
	place := queue.PushBack(turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-turn: // It became the caller's turn at the same moment.
		l.next(key)
	default:
		queue.Remove(place)
	}
	return ctx.Err()
}

// Unlock ends the caller's turn, and begins that of the next one.
func (l *Locks) Unlock(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next(key)
}

// next lets the next one in. It is called with the lock held.
func (l *Locks) next(key string) {
	queue := l.queues[key]
	if queue == nil || queue.Len() == 0 {
		delete(l.queues, key)
		return
	}
	close(queue.Remove(queue.Front()).(chan struct{}))
}
