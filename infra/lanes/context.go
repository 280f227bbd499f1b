package lanes

import (
	"context"
	"sync"
)

// messageContext is the context of one message that is handed out. It ends when
// the message is settled, or with its parent, and makes something to wait for
// only when somebody waits: most handlers never do.
type messageContext struct {
	context.Context

	mu      sync.Mutex
	waited  context.Context
	cancel  context.CancelFunc
	settled bool
}

// Done is closed when the message is settled or given up.
func (c *messageContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited == nil {
		c.waited, c.cancel = context.WithCancel(c.Context) //nolint:gosec // settle calls it.
		if c.settled {
			c.cancel()
		}
	}
	return c.waited.Done()
}

// Value makes a context derived from this one, such as one with a timeout, find
// what it waits for without a goroutine of its own; there are no other values.
func (c *messageContext) Value(key any) any {
	c.mu.Lock()
	waited := c.waited
	c.mu.Unlock()
	if waited != nil {
		return waited.Value(key)
	}
	return c.Context.Value(key)
}

// Err is context.Canceled once the message is settled or given up.
func (c *messageContext) Err() error {
	c.mu.Lock()
	settled := c.settled
	c.mu.Unlock()
	if settled {
		return context.Canceled
	}
	return c.Context.Err()
}

// settle ends the context.
func (c *messageContext) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = true
	if c.cancel != nil {
		c.cancel()
	}
}
