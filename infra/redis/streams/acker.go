package streams

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

const (
	maxAcks  = 256
	ackDelay = 2 * time.Millisecond // the longest that a single acknowledgement waits for others
)

// acker gathers acknowledgements and sends them in batches.
type acker struct {
	sub     *consumer
	flusher *conn.Flusher

	mu      sync.Mutex
	waiting map[string][]any // ids by stream
	n       int

	acked atomic.Int64 // how many were acknowledged, to decide when streams are trimmed
}

func newAcker(sub *consumer) *acker {
	a := &acker{sub: sub, waiting: map[string][]any{}}
	a.flusher = conn.NewFlusher(ackDelay, minRetry, a.flush)
	return a
}

// add acknowledges a delivery with the next batch.
func (a *acker) add(d delivery) {
	a.mu.Lock()
	a.waiting[d.stream] = append(a.waiting[d.stream], d.id)
	a.n++
	n := a.n
	a.mu.Unlock()
	if n == 1 {
		a.flusher.Some()
	} else if n >= maxAcks {
		a.flusher.Full()
	}
}

// flush sends what waits. What Redis does not confirm waits for the next attempt.
func (a *acker) flush(ctx context.Context) error {
	a.mu.Lock()
	waiting := a.waiting
	a.waiting, a.n = make(map[string][]any, len(waiting)), 0
	a.mu.Unlock()
	var failed error
	for stream, ids := range waiting {
		for len(ids) > 0 {
			batch := ids[:min(len(ids), 4*maxAcks)]
			_, err := a.sub.conn.Do(ctx, append([]any{"xack", stream, a.sub.cfg.Queue}, batch...)...)
			if err != nil {
				failed = err
				break
			}
			a.acked.Add(int64(len(batch)))
			ids = ids[len(batch):]
		}
		if len(ids) > 0 {
			a.mu.Lock()
			a.waiting[stream] = append(ids, a.waiting[stream]...)
			a.n += len(ids)
			a.mu.Unlock()
		}
	}
	return failed
}

// close sends what is left, as long as ctx allows, and with an expired context in one
// attempt: the handlers have succeeded.
func (a *acker) close(ctx context.Context) error { return a.flusher.Close(ctx) }
