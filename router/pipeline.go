package router

import (
	"context"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// stage is one step of the pipeline: it may act before and after the next one, answer
// in its place, and replace its result. Inside of timeout, ctx is that of the attempt;
// outside of it, ctx is the delivery.
type stage func(ctx context.Context, d *delivery) result

// pipeline is what every message goes through, from the outside in. The order matters,
// and is determined here alone.
func (c *consumer) pipeline() []func(next stage) stage {
	return []func(next stage) stage{
		c.measure,    // counts and times the final result
		c.locate,     // an event of our log is known by its position
		c.poison,     // a message that failed permanently goes to the poison queue
		c.delay,      // a longer pause before a retry is spent at the broker
		c.park,       // Ordered: later messages of a key wait behind one that failed
		c.dedupe,     // a message that was handled before is not handled again
		c.refused,    // a command that the log refuses to store waits on
		c.due,        // a message that is delivered too early waits on
		c.retry,      // a failed attempt is followed by another, after a pause
		c.replay,     // a command that was decided before has its stored outcome
		c.readable,   // a message that cannot be decoded has failed permanently
		c.guard,      // BreakAfter: the circuit breaker admits only probes while it is open
		c.limit,      // Rate: so many attempts a second, and no more
		c.turn,       // commands of one aggregate are decided one after the other
		c.classify,   // decides whether another attempt may help after an error
		c.timeout,    // Timeout: bounds one attempt
		c.recover,    // a panic is a failed attempt
		c.middleware, // the application's own middleware, around each call of the handler
	}
}

// executed is what a command goes through that is decided for a caller in this process.
// It has no queue to wait in: where the result is to wait, the caller sends it there.
func (c *consumer) executed() []func(next stage) stage {
	return []func(next stage) stage{
		c.measure, c.poison, c.retry, c.replay, c.guard, c.turn, c.classify, c.timeout, c.recover, c.middleware,
	}
}

// through returns what calls the handler through stages, given from the outside in.
func (c *consumer) through(stages []func(next stage) stage) stage {
	run := c.call
	for _, s := range slices.Backward(stages) {
		run = s(run)
	}
	return run
}

// process returns the handler for Watermill's router: it decodes a message, sends it
// through the pipeline, and turns the result into ack, nack or error.
func (c *consumer) process() message.NoPublishHandlerFunc {
	run := c.through(c.pipeline())
	return func(msg *message.Message) error {
		if msg.Metadata[events.MetaMark] != "" {
			return c.markPassed(msg)
		}
		d := &delivery{Context: msg.Context(), msg: msg, handler: c.plan.name}
		// A message that cannot be decoded goes through the pipeline, too: it fails in
		// there, and ends where every other failure ends.
		d.undecodable = c.receive(d)
		switch r := run(d, d); r.action {
		case actionAck:
			return nil
		case actionWait:
			msg.Metadata[events.MetaPause] = r.after.String()
			msg.Nack()
			return nil // An error would be logged as a failure by Watermill's router.
		default:
			return r.err
		}
	}
}

// call calls the handler, at the end of the pipeline.
func (c *consumer) call(ctx context.Context, d *delivery) result {
	return c.handler.handle(ctx, &d.envelope)
}
