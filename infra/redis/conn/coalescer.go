package conn

import (
	"context"
	"runtime"
	"sync"

	"github.com/pitwheel/pitwheel/events"
)

// flushesAtOnce is how many flushes of one coalescer run at the same time.
const flushesAtOnce = 2

// Coalescer lets calls that wait at the same time share one flush. A call that comes
// alone is flushed at once. It is safe for concurrent use.
type Coalescer[T any] struct {
	in      chan T
	stop    chan struct{}
	workers sync.WaitGroup
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
		for more := true; more && len(batch) < size; {
			select {
			case next := <-c.in:
				batch = append(batch, next)
			default:
				more = false
			}
		}
		flush(batch)
		clear(batch)
		batch = batch[:0]
	}
}

// Add passes a call to the next flush. It returns an error if ctx ends or the coalescer is
// closed before a worker has taken the call.
func (c *Coalescer[T]) Add(ctx context.Context, call T) error {
	select {
	case c.in <- call:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.stop:
		return events.Errorf(events.CodeShuttingDown, "the store is closed")
	}
}

// Close waits for the flushes under way and refuses further calls.
func (c *Coalescer[T]) Close() {
	close(c.stop)
	c.workers.Wait()
}
