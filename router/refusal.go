package router

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// refusedPause is how long a command waits that the log refuses to store.
	refusedPause = 5 * time.Second
	// refusedFor is how long a refusal shows in [Router.Ready].
	refusedFor = 15 * time.Second
)

// refusals remembers that the log refuses commands. The zero value has none.
type refusals struct {
	mu   sync.Mutex
	err  error
	last time.Time
}

// add notes a refusal, and reports whether it is the first one for a while.
func (r *refusals) add(err error) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first = r.err == nil || time.Since(r.last) > refusedFor
	r.err, r.last = err, time.Now()
	return first
}

// get returns the last refusal, nil if there was none of late.
func (r *refusals) get() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.last) > refusedFor {
		return nil
	}
	return r.err
}

// refused lets commands that the log refuses to store wait at the broker: a partition that is
// damaged would fill the handler's window with them, and hold up all others. That does not
// count as an attempt. A store that cannot be reached at all refuses nothing: then commands
// wait in their places.
func (c *consumer) refused(next stage) stage {
	if c.plan.Kind() != KindCommand {
		return next
	}
	return func(ctx context.Context, d *delivery) result {
		r := next(ctx, d)
		if r.action != actionAbort || !isRefusal(r.err) || d.Err() != nil {
			return r
		}
		if c.refusals.add(r.err) {
			c.logger.ErrorContext(d, "the log refuses commands, which wait at the broker until it is mended", d.attrs(slog.Any("error", r.err))...)
		}
		return c.waitFor(refusedPause, uncounted)
	}
}

// isRefusal reports whether the log can be reached, and does not store what it is given.
func isRefusal(err error) bool {
	var stored storeError
	if !errors.As(err, &stored) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	switch events.CodeOf(err) {
	case events.CodeUnavailable, events.CodeConflict, events.CodeTimeout, events.CodeShuttingDown:
		return false
	}
	return true
}
