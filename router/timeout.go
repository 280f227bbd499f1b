package router

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// timeout bounds one attempt. A handler is told by its context; one that does
// not listen cannot be stopped from outside.
func (c *consumer) timeout(next message.HandlerFunc) message.HandlerFunc {
	bound := c.plan.policy.Timeout
	return func(msg *message.Message) ([]*message.Message, error) {
		whole := msg.Context()
		ctx := &attemptContext{Context: whole, deadline: deliveryOf(whole).attempted.Add(bound)}
		msg.SetContext(ctx)
		defer func() {
			ctx.finish()
			msg.SetContext(whole)
		}()
		return next(msg)
	}
}

// attemptContext is what context.WithDeadline returns, except that its timer
// starts when somebody first waits for it. Most handlers never do, and a timer
// for each of their messages costs more than the rest of the pipeline.
type attemptContext struct {
	context.Context
	deadline time.Time

	mu       sync.Mutex
	timed    context.Context
	cancel   context.CancelFunc
	finished bool
}

// Deadline is when the attempt is over at the latest.
func (a *attemptContext) Deadline() (time.Time, bool) {
	if d, ok := a.Context.Deadline(); ok && d.Before(a.deadline) {
		return d, true
	}
	return a.deadline, true
}

// Done is closed at the deadline, when the whole delivery is given up, and when
// the attempt has ended.
func (a *attemptContext) Done() <-chan struct{} {
	return a.start().Done()
}

// Err is why the context is over; nil while it is not.
func (a *attemptContext) Err() error {
	a.mu.Lock()
	timed, finished := a.timed, a.finished
	a.mu.Unlock()
	switch {
	case timed != nil:
		return timed.Err()
	case a.Context.Err() != nil:
		return a.Context.Err()
	case !time.Now().Before(a.deadline):
		return context.DeadlineExceeded
	case finished:
		return context.Canceled
	}
	return nil
}

// start makes the real context when it is first needed.
func (a *attemptContext) start() context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timed == nil {
		a.timed, a.cancel = context.WithDeadline(a.Context, a.deadline) //nolint:gosec // finish calls cancel.
		if a.finished {
			a.cancel()
		}
	}
	return a.timed
}

// finish ends the context with its attempt.
func (a *attemptContext) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.finished = true
	if a.cancel != nil {
		a.cancel()
	}
}
