package inbox

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

const (
	// maxBuffered bounds the records that wait to be written.
	maxBuffered = 1 << 16
	// retryAfter is the pause after a write that failed.
	retryAfter = 500 * time.Millisecond
)

// buffer is the write-behind buffer: records of the inbox on their way to Redis.
type buffer struct {
	write func(ctx context.Context, handler string, ids []uuid.UUID) error

	mu      sync.RWMutex
	fresh   map[string][]uuid.UUID // handler → ids that are not yet sent
	waiting map[handled]struct{}   // everything that Redis has not confirmed

	flusher *conn.Flusher
}

// newBuffer starts to pass what is added to write; close ends that.
func newBuffer(write func(context.Context, string, []uuid.UUID) error) *buffer {
	b := &buffer{write: write, fresh: map[string][]uuid.UUID{}, waiting: map[handled]struct{}{}}
	b.flusher = conn.NewFlusher(0, retryAfter, b.flush)
	return b
}

func (b *buffer) has(e handled) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, ok := b.waiting[e]
	return ok
}

// add adds a record and returns true, unless too many wait already.
func (b *buffer) add(e handled) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) >= maxBuffered {
		return false
	}
	b.fresh[e.handler] = append(b.fresh[e.handler], e.id)
	b.waiting[e] = struct{}{}
	b.flusher.Some()
	return true
}

// flush writes what waits. What fails waits again.
func (b *buffer) flush(ctx context.Context) error {
	b.mu.Lock()
	fresh := b.fresh
	b.fresh = make(map[string][]uuid.UUID, len(fresh))
	b.mu.Unlock()
	var failed error
	for handler, ids := range fresh {
		for len(ids) > 0 && failed == nil {
			some := ids[:min(len(ids), maxBatch)]
			if failed = b.write(ctx, handler, some); failed == nil {
				b.written(handler, some)
				ids = ids[len(some):]
			}
		}
		if len(ids) > 0 {
			b.mu.Lock()
			b.fresh[handler] = append(ids, b.fresh[handler]...)
			b.mu.Unlock()
		}
	}
	return failed
}

func (b *buffer) written(handler string, ids []uuid.UUID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		delete(b.waiting, handled{handler, id})
	}
}

// close writes what is left, for a second at most.
func (b *buffer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = b.flusher.Close(ctx) // A message whose record is lost is handled again.
}
