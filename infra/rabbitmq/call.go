package rabbitmq

import (
	"context"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// item is one message of a call.
type item struct {
	key        string
	publishing amqp.Publishing
	// confirm is nil until the message is sent.
	confirm *amqp.DeferredConfirmation
	// returned is why the broker returned a mandatory message. The lock of the
	// session's returns protects it.
	returned string
}

// call is one attempt to send the messages of one Publish, or those of them that have to
// be sent again.
type call struct {
	ctx   context.Context
	to    destination
	items []item

	// written is closed when the sender has written the call. The fields below it may be
	// read then.
	written chan struct{}
	session *session
	err     error // why the call cannot be published at all

	mu        sync.Mutex
	abandoned bool
	sent      int
}

// begin is called before a message is sent. It returns false if the caller does not wait
// any more: it has been told already that the message was not sent.
func (c *call) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.abandoned || c.ctx.Err() != nil {
		return false
	}
	c.sent++
	return true
}

// abandon prevents further messages from being sent, and returns how many were.
func (c *call) abandon() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abandoned = true
	return c.sent
}
