package rabbitmq

import (
	"context"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// item is one message of a call, on its way.
type item struct {
	key        string
	publishing amqp.Publishing
	// confirm is set when the message was sent; nil means that it was not.
	confirm *amqp.DeferredConfirmation
	// returned is the broker's reason to send a mandatory message back. The
	// session's lock protects it.
	returned string
}

// call is the messages of one Publish, or what is left of them after the
// connection broke.
type call struct {
	ctx   context.Context
	to    destination
	items []item

	// written is closed when the sender is done with the call. The fields below it
	// may be read then.
	written chan struct{}
	session *session
	err     error // why the call cannot be published at all

	mu        sync.Mutex
	abandoned bool
	sent      int
}

// begin is called before a message is sent. It returns false if the caller has
// given up meanwhile: then it was told that the message was not sent.
func (c *call) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.abandoned || c.ctx.Err() != nil {
		return false
	}
	c.sent++
	return true
}

// abandon keeps what is not sent from being sent, and returns how many were.
func (c *call) abandon() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abandoned = true
	return c.sent
}
