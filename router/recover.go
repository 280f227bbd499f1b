package router

import (
	"runtime/debug"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// recover turns a panic into a failed attempt that remembers where it happened.
func (c *consumer) recover(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) (out []*message.Message, err error) {
		defer func() {
			if r := recover(); r != nil {
				deliveryOf(msg.Context()).stack = bounded(string(debug.Stack()), maxStack)
				out, err = nil, events.Errorf(events.CodePanic, "handler %s panicked: %v", c.plan.name, r)
			}
		}()
		return next(msg)
	}
}

// guarded calls what a declaration brings along outside of the pipeline, and turns a
// panic into an error with the code PANIC that says where it happened: it must not end
// the process, and with it all other handlers.
func guarded(who string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = events.Errorf(events.CodePanic, "%s panicked at %s: %v", who, failingFrame(bounded(string(debug.Stack()), 4*maxStack)), r)
		}
	}()
	return f()
}
