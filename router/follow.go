package router

import (
	"context"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// readWait is how long a reader of the log waits for news before it looks
	// whether it should stop.
	readWait = time.Second
	// finishTimeout bounds the batch in hand when a reader of the log is stopped.
	finishTimeout = 10 * time.Second
)

// follow reads the log from a cursor on, at most limit events of a partition at a
// time, and hands batches to apply one after the other. While one is applied the
// next is being read. A batch is empty when there was no news for a while. It
// returns when ctx ends (nil), or when reading or applying fails. An answer that
// goes back in a partition, or repeats an event, is a failed reading.
func follow(ctx context.Context, reader LogReader, from events.Cursor, limit int, apply func([]events.Recorded) error) error {
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan []events.Recorded)
	failed := make(chan error, 1)
	go func() {
		defer close(batches)
		cursor := from.Clone(reader.Partitions())
		for {
			batch, err := reader.Read(ctx, cursor, limit, readWait)
			if err == nil {
				err = inOrder(cursor, batch)
			}
			if err != nil {
				failed <- err
				return
			}
			select {
			case batches <- batch:
			case <-ctx.Done():
				return
			}
		}
	}()
	var err error
	for batch := range batches {
		if err = apply(batch); err != nil {
			break
		}
	}
	stopped := ctx.Err() != nil
	cancel()
	for range batches { // Until the reader has ended, too.
	}
	select {
	case readErr := <-failed:
		if err == nil && !stopped {
			err = readErr
		}
	default:
	}
	return err
}

// inOrder moves a cursor behind the given events, each of which must be behind the
// one before it in its partition: what is applied in another order, or twice, cannot
// be mended afterwards.
func inOrder(cursor events.Cursor, batch []events.Recorded) error {
	for i := range batch {
		p, position := batch[i].Partition, batch[i].Position
		if position <= cursor[p] {
			return events.Errorf(events.CodeInternal, "the log answered out of order: position %d of partition %d after %d", position, p, cursor[p]).MayRetry()
		}
		cursor[p] = position
	}
	return nil
}

// advance moves a cursor behind the given events.
func advance(cursor events.Cursor, batch []events.Recorded) {
	for i := range batch {
		cursor[batch[i].Partition] = batch[i].Position
	}
}

// finishing returns a context in which the work in hand can be finished after
// ctx has ended: it ends finishTimeout after ctx.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(finishTimeout, cancel) })
	return out, func() {
		stop()
		cancel()
	}
}
