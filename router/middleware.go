package router

import (
	"context"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// calledKey is where the adapter of an application's middleware finds the result of
// the call within.
type calledKey struct{}

// middleware adapts the application's Watermill middleware to the pipeline. The stages
// inside of it see the context that the middleware has set on the message.
func (c *consumer) middleware(next stage) stage {
	if len(c.applicationMiddleware) == 0 {
		return next
	}
	var handle message.HandlerFunc = func(msg *message.Message) ([]*message.Message, error) {
		ctx := msg.Context()
		called, ok := ctx.Value(calledKey{}).(*result)
		if !ok {
			return nil, events.Permanent(events.Errorf(events.CodeInternal, "a middleware passed on a message whose context is not derived from that of its own"))
		}
		*called = next(ctx, deliveryOf(ctx))
		return nil, called.err
	}
	for _, m := range slices.Backward(c.applicationMiddleware) {
		handle = m(handle)
	}
	return func(ctx context.Context, d *delivery) result {
		// Watermill's middleware returns an error or nil. What else the call came to, as a
		// duplicate command, reaches this stage past the middleware.
		called := ack(outcomeHandled)
		outside := d.msg.Context()
		d.msg.SetContext(context.WithValue(ctx, calledKey{}, &called))
		defer d.msg.SetContext(outside)
		out, err := handle(d.msg)
		switch {
		case called.action == actionAbort:
			return called // Not the handler's error, and so not the middleware's to deal with.
		case err == nil && len(out) > 0:
			return fail(events.Permanent(events.Errorf(events.CodeInternal,
				"a middleware returned %d messages; events are published from the log alone, and commands are sent with Commands", len(out))))
		case err == nil && called.err == nil:
			return called
		case err == nil:
			return ack(outcomeHandled) // The middleware has dealt with the error.
		}
		return fail(err)
	}
}
