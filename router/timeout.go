package router

import (
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/router/lazyctx"
)

// timeout bounds one attempt. A handler is told by its context; one that does
// not listen cannot be stopped from outside.
func (c *consumer) timeout(next message.HandlerFunc) message.HandlerFunc {
	bound := c.plan.policy.Timeout
	return func(msg *message.Message) ([]*message.Message, error) {
		whole := msg.Context()
		ctx := lazyctx.New(whole, deliveryOf(whole).attempted.Add(bound))
		msg.SetContext(ctx)
		defer func() {
			ctx.End()
			msg.SetContext(whole)
		}()
		return next(msg)
	}
}
