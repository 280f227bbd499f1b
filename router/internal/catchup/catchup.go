// Package catchup reads the log as a catch-up subscription: from a cursor to the end,
// and then what is appended. The relay and every projection are one.
package catchup

import (
	"context"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// readWait bounds how long a read waits for new events before the subscription
	// checks whether it should stop.
	readWait = time.Second
	// brokenPause is how long a partition that cannot be read on is left alone.
	brokenPause = 5 * time.Second
	// graceTimeout bounds the work in progress when a subscription is stopped.
	graceTimeout = 10 * time.Second
)

// Reader reads the log; see router.LogReader, which has these methods.
type Reader interface {
	Partitions() int
	Read(ctx context.Context, after events.Cursor, limit int, wait time.Duration) ([]events.Recorded, error)
	End(ctx context.Context) (events.Cursor, error)
	Epoch(ctx context.Context) (string, error)
}

// Subscription is what [Subscription.Run] needs. Wake, Skip and Broken are optional.
type Subscription struct {
	Reader Reader
	// From is where reading begins, and Limit how many events of a partition are read at a
	// time.
	From  events.Cursor
	Limit int
	// Apply is called with one batch after the other. A batch is empty if there were no
	// new events for a second.
	Apply func([]events.Recorded) error
	// Wake makes Apply be called with an empty batch for each value.
	Wake <-chan struct{}
	// Skip reports whether a partition is not to be read at present. It is called
	// concurrently with Apply.
	Skip func(partition int) bool
	// Broken is called when a partition cannot be read on, and with nil when it can be again;
	// meanwhile the others are read. It is called concurrently with Apply.
	Broken func(partition int, err error)
}

// Run reads the log. The next batch is read while one is applied.
//
// Run returns nil when ctx ends, and an error when reading or applying fails. A
// reader that goes back in a partition, or repeats an event, has failed.
func (s Subscription) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan []events.Recorded)
	failed := make(chan error, 1)
	go func() {
		defer close(batches)
		in := intake{Subscription: s, cursor: s.From.Clone(s.Reader.Partitions()), broken: map[int]time.Time{}}
		for {
			batch, err := in.read(ctx)
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
	for open := true; open && err == nil; {
		var batch []events.Recorded
		select {
		case batch, open = <-batches:
		case <-s.Wake:
		}
		if open {
			err = s.Apply(batch)
		}
	}
	stopped := ctx.Err() != nil
	cancel()
	for range batches { // Until the reading goroutine has returned, too.
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

// advanceInOrder moves a cursor past the given events, each of which must come after
// the one before it in its partition: events that are applied out of order, or twice,
// cannot be undone afterwards.
func advanceInOrder(cursor events.Cursor, batch []events.Recorded) error {
	for i := range batch {
		p, position := batch[i].Partition, batch[i].Position
		if position <= cursor[p] {
			return events.Errorf(events.CodeInternal, "the log answered out of order: position %d of partition %d after %d", position, p, cursor[p]).MayRetry()
		}
		cursor[p] = position
	}
	return nil
}

// Advance moves a cursor past the given events.
func Advance(cursor events.Cursor, batch []events.Recorded) {
	for i := range batch {
		cursor[batch[i].Partition] = batch[i].Position
	}
}

// Advanced returns the cursor past the given events; from stays as it is.
func Advanced(from events.Cursor, batch []events.Recorded) events.Cursor {
	to := from.Clone(0)
	Advance(to, batch)
	return to
}

type limitKey struct{}

// WithLimit returns a context for which every [Grace] ends with limit at the latest, so that
// a stop which has a deadline does not wait for work in progress beyond it.
func WithLimit(ctx, limit context.Context) context.Context {
	return context.WithValue(ctx, limitKey{}, limit)
}

// Grace returns a context in which work in progress can be completed after ctx has
// ended: it ends 10 s after ctx, or at the limit of [WithLimit]. The caller must call cancel.
func Grace(ctx context.Context) (grace context.Context, cancel context.CancelFunc) {
	grace, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(graceTimeout, end) })
	unlimit := func() bool { return true }
	if limit, ok := ctx.Value(limitKey{}).(context.Context); ok {
		unlimit = context.AfterFunc(limit, end)
	}
	return grace, func() {
		stop()
		unlimit()
		end()
	}
}
