package redisdb

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// notesMost bounds the notes that wait to be written.
const notesMost = 1 << 16

// notes are records of the inbox on their way to Redis.
type notes struct {
	store *Store

	mu      sync.RWMutex
	fresh   map[string][]uuid.UUID // handler → ids that are not yet sent
	waiting map[handled]struct{}   // everything that Redis has not confirmed

	some chan struct{}
	stop chan struct{}
	done chan struct{}
}

// newNotes starts to write what is added; close ends that.
func newNotes(s *Store) *notes {
	n := &notes{
		store: s, fresh: map[string][]uuid.UUID{}, waiting: map[handled]struct{}{},
		some: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go n.work()
	return n
}

func (n *notes) has(e handled) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, ok := n.waiting[e]
	return ok
}

// add takes a note, unless too many wait already.
func (n *notes) add(e handled) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) >= notesMost {
		return false
	}
	n.fresh[e.handler] = append(n.fresh[e.handler], e.id)
	n.waiting[e] = struct{}{}
	offer(n.some)
	return true
}

func (n *notes) work() {
	defer close(n.done)
	for {
		select {
		case <-n.some:
		case <-n.stop:
			return
		}
		if n.write(context.Background()) != nil {
			select {
			case <-time.After(maxRetry / 4):
				offer(n.some)
			case <-n.stop:
				return
			}
		}
	}
}

// write sends what waits. What fails waits again.
func (n *notes) write(ctx context.Context) error {
	n.mu.Lock()
	fresh := n.fresh
	n.fresh = make(map[string][]uuid.UUID, len(fresh))
	n.mu.Unlock()
	var failed error
	for handler, ids := range fresh {
		for len(ids) > 0 && failed == nil {
			some := ids[:min(len(ids), callsAtOnce)]
			if failed = n.store.write(ctx, handler, some); failed == nil {
				n.written(handler, some)
				ids = ids[len(some):]
			}
		}
		if len(ids) > 0 {
			n.mu.Lock()
			n.fresh[handler] = append(ids, n.fresh[handler]...)
			n.mu.Unlock()
		}
	}
	return failed
}

func (n *notes) written(handler string, ids []uuid.UUID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range ids {
		delete(n.waiting, handled{handler, id})
	}
}

// close writes what is left, for a second at most.
func (n *notes) close() {
	close(n.stop)
	<-n.done
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = n.write(ctx) // What is lost makes a duplicate possible, as at a crash.
}
