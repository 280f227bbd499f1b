package streams

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	maxAcks  = 256
	ackDelay = 2 * time.Millisecond // the longest that a single acknowledgement waits for others
	// maxUnsent is how many acknowledgements may wait, as while BeforeAck fails, before
	// nothing more is read.
	maxUnsent = 4096
)

// acker gathers acknowledgements and sends them in batches.
type acker struct {
	sub     *consumer
	flusher *conn.Flusher

	mu      sync.Mutex
	waiting map[string][]any // ids by stream
	n       int
	lastErr error // why the last batch was not sent

	sending chan struct{} // holds a token while a batch is on its way
	acked   atomic.Int64  // how many were acknowledged, to decide when streams are trimmed
}

func newAcker(sub *consumer) *acker {
	a := &acker{sub: sub, waiting: map[string][]any{}, sending: make(chan struct{}, 1)}
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

// await waits while so many acknowledgements are not sent that no more messages may be
// received: their number is what bounds the memory that they take. It returns why they are
// not, if that has failed.
func (a *acker) await(ctx context.Context) error {
	for {
		a.mu.Lock()
		n, err := a.n, a.lastErr
		a.mu.Unlock()
		switch {
		case n < maxUnsent:
			return nil
		case err != nil:
			return events.Errorf(events.CodeUnavailable, "%d messages of queue %s are handled and cannot be acknowledged: %w", n, a.sub.cfg.Queue, err).MayRetry()
		case !backoff.Wait(ctx, ackDelay):
			return ctx.Err()
		}
	}
}

// flush sends everything that was added before the call, once BeforeAck allows it. What is
// not allowed, or what Redis does not confirm, waits for the next attempt.
func (a *acker) flush(ctx context.Context) error {
	select {
	case a.sending <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.sending }()
	batch := a.take()
	if len(batch) == 0 {
		return nil
	}
	err := a.send(ctx, batch)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lastErr = err
	for stream, ids := range batch {
		a.waiting[stream] = append(ids, a.waiting[stream]...)
		a.n += len(ids)
	}
	return err
}

func (a *acker) take() map[string][]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	batch := a.waiting
	a.waiting, a.n = make(map[string][]any, len(batch)), 0
	return batch
}

// send leaves in the batch what is not sent.
func (a *acker) send(ctx context.Context, batch map[string][]any) error {
	if before := a.sub.cfg.BeforeAck; before != nil {
		if err := before(ctx); err != nil {
			return err
		}
	}
	for stream, ids := range batch {
		for ; len(ids) > 0; batch[stream] = ids {
			part := ids[:min(len(ids), 4*maxAcks)]
			if _, err := a.sub.conn.Do(ctx, append([]any{"xack", stream, a.sub.cfg.Queue}, part...)...); err != nil {
				return err
			}
			a.acked.Add(int64(len(part)))
			ids = ids[len(part):]
		}
		delete(batch, stream)
	}
	return nil
}

// close sends what is left, as long as ctx allows, and with an expired context in one
// attempt: the handlers have succeeded.
func (a *acker) close(ctx context.Context) error {
	err := a.flusher.Close(ctx)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w, and acknowledgements are not sent: %w", ctx.Err(), err)
	}
	return err
}
