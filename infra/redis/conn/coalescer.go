package conn

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// flushesAtOnce is how many flushes of one coalescer run at the same time.
	flushesAtOnce = 2
	// minShare is how many calls a flush may have, however few wait.
	minShare = 4
)

// Coalescer lets calls that wait at the same time share one flush. A call that comes
// alone is flushed at once. It is safe for concurrent use.
type Coalescer[T any] struct {
	in      chan T
	stop    chan struct{}
	workers sync.WaitGroup
	// pending counts the calls that wait to be flushed, or are being flushed.
	pending atomic.Int32
}

// NewCoalescer starts two workers that each pass up to size calls at a time to flush,
// which must not keep the slice. Close ends them.
func NewCoalescer[T any](size int, flush func([]T)) *Coalescer[T] {
	c := &Coalescer[T]{in: make(chan T), stop: make(chan struct{})}
	for range flushesAtOnce {
		c.workers.Go(func() { c.work(size, flush) })
	}
	return c
}

func (c *Coalescer[T]) work(size int, flush func([]T)) {
	batch := make([]T, 0, size)
	for {
		select {
		case <-c.stop:
			return
		case first := <-c.in:
			batch = append(batch, first)
		}
		// Yield, so that callers whose last call was just flushed can join this flush.
		runtime.Gosched()
		// A flush takes no more than its share. Otherwise all callers end up in one flush,
		// and then either they or the server have nothing to do.
		share := min(size, max(minShare, int(c.pending.Load()+flushesAtOnce-1)/flushesAtOnce))
		for more := true; more && len(batch) < share; {
			select {
			case next := <-c.in:
				batch = append(batch, next)
			default:
				more = false
			}
		}
		flush(batch)
		c.pending.Add(-int32(len(batch))) //nolint:gosec // It is at most size.
		clear(batch)
		batch = batch[:0]
	}
}

// Add passes a call to the next flush. It returns an error if ctx ends or the coalescer is
// closed before a worker has taken the call.
func (c *Coalescer[T]) Add(ctx context.Context, call T) error {
	c.pending.Add(1)
	var err error
	select {
	case c.in <- call:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-c.stop:
		err = events.Errorf(events.CodeShuttingDown, "the store is closed")
	}
	c.pending.Add(-1)
	return err
}

// Close waits for the flushes under way and refuses further calls.
func (c *Coalescer[T]) Close() {
	close(c.stop)
	c.workers.Wait()
}
