// Package keylock has locks by key: of those who work on one key, one works at a time,
// in the order in which they came. Different keys do not wait for each other.
package keylock

import (
	"context"
	"sync"
)

// Locks are locks by key. The zero value is ready for use, and safe for concurrent use.
// A key that nobody works on takes no memory.
type Locks struct {
	mu sync.Mutex
	// queues are those who wait for each key that is locked; each is let in when its
	// channel is closed.
	queues map[string][]chan struct{}
}

// Lock waits until it is the caller's turn. If ctx ends first, its error is returned, and
// nothing is locked.
func (l *Locks) Lock(ctx context.Context, key string) error {
	l.mu.Lock()
	if l.queues == nil {
		l.queues = map[string][]chan struct{}{}
	}
	queue, locked := l.queues[key]
	if !locked {
		l.queues[key] = nil
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.queues[key] = append(queue, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.queues[key] {
		if other == turn {
			l.queues[key] = append(l.queues[key][:i:i], l.queues[key][i+1:]...)
			return ctx.Err()
		}
	}
	l.next(key) // It became the caller's turn at the same moment.
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
	if len(queue) == 0 {
		delete(l.queues, key)
		return
	}
	l.queues[key] = queue[1:]
	close(queue[0])
}
