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
	// mandatory messages are returned by the broker if no queue is bound for them.
	mandatory bool
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
	// mandatory is whether any item is.
	mandatory bool

	// written is closed when the sender has written the call. The fields below it may be
	// read then.
	written chan struct{}
	err     error // why the call cannot be published at all
	binds   int   // as in destination

	// search is the first item that the next return may be of. The lock of the session's
	// returns protects it.
	search int

	mu        sync.Mutex
	session   *session // that it is written to; nil: it is not yet
	abandoned bool
	sent      int
}

// start is called before the call is written to a session. It returns false if the caller
// does not wait any more.
func (c *call) start(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.abandoned {
		return false
	}
	c.session = s
	if c.mandatory {
		s.returns.expect(c)
	}
	return true
}

// release is called when the caller stops waiting.
func (c *call) release() {
	c.abandon()
	if c.mandatory && c.session != nil {
		c.session.returns.release(c)
	}
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
