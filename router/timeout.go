package router

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
)

// timeout bounds one attempt. A handler is told by its context; one that does
// not listen cannot be stopped from outside.
func (c *consumer) timeout(next message.HandlerFunc) message.HandlerFunc {
	bound := c.plan.policy.Timeout
	return func(msg *message.Message) ([]*message.Message, error) {
		whole := msg.Context()
		ctx, cancel := context.WithTimeout(whole, bound)
		msg.SetContext(ctx)
		defer func() {
			cancel()
			msg.SetContext(whole)
		}()
		return next(msg)
	}
}
