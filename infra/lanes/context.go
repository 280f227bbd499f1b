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
