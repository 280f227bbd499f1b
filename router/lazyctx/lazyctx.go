// Package lazyctx has a context that costs nothing until somebody waits for it.
//
// A context of the standard library with a deadline starts a timer, and one that can
// be cancelled registers with its parent, for each message and attempt; most handlers
// never wait for either. On the hot path that costs more than everything else.
package lazyctx

import (
	"context"
	"sync"
	"time"
)

// Context is a context that ends with its parent, at its deadline, or when End is
// called, whichever comes first. It is safe for concurrent use.
type Context struct {
	context.Context // the parent

	deadline time.Time // zero: none of its own

	mu     sync.Mutex
	waited context.Context // made when somebody first waits
	cancel context.CancelFunc
	ended  bool
}

// New returns a context within parent. A zero deadline is none. End must be called
// in the end.
func New(parent context.Context, deadline time.Time) *Context {
	return &Context{Context: parent, deadline: deadline}
}

// Deadline is the earlier one of the parent's and its own.
func (c *Context) Deadline() (time.Time, bool) {
	if d, ok := c.Context.Deadline(); ok && (c.deadline.IsZero() || d.Before(c.deadline)) {
		return d, true
	}
	return c.deadline, !c.deadline.IsZero()
}

// Done is closed when the context ends.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited == nil {
		if c.deadline.IsZero() {
			c.waited, c.cancel = context.WithCancel(c.Context) //nolint:gosec // End calls it.
		} else {
			c.waited, c.cancel = context.WithDeadline(c.Context, c.deadline) //nolint:gosec // End calls it.
		}
		if c.ended {
			c.cancel()
		}
	}
	return c.waited.Done()
}

// Err is why the context has ended; nil while it has not.
func (c *Context) Err() error {
	c.mu.Lock()
	waited, ended := c.waited, c.ended
	c.mu.Unlock()
	switch {
	case waited != nil:
		return waited.Err()
	case c.Context.Err() != nil:
		return c.Context.Err()
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	case ended:
		return context.Canceled
	}
	return nil
}

// Value asks the parent. Once somebody waits, contexts derived from this one find
// what it waits for, and so need no goroutine of their own.
func (c *Context) Value(key any) any {
	c.mu.Lock()
	waited := c.waited
	c.mu.Unlock()
	if waited != nil {
		return waited.Value(key)
	}
	return c.Context.Value(key)
}

// End ends the context. It may be called again.
func (c *Context) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}
