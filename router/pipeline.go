package router

import "github.com/ThreeDotsLabs/watermill/message"

// pipeline is what every message goes through, from the outside in. The order
// matters, and this is the one place that says it.
func (c *consumer) pipeline() []message.HandlerMiddleware {
	return []message.HandlerMiddleware{
		c.crew.carry, // on a goroutine whose stack has grown already
		c.correlate,  // reads the message; everything inside knows who it is and what it belongs to
		c.measure,    // sees how it ended, whatever happens inside
		c.poison,     // what failed for good is set aside whole, and acknowledged
		c.delay,      // what is to be tried again rests in its lane, or waits at the broker
		c.park,       // where order is asked for, what comes after a failed message waits behind it
		c.dedupe,     // what was handled before is not handled again
		c.due,        // what came too early waits on
		c.guard,      // a handler that fails and fails gets no messages but probes
		c.limit,      // no more messages a second than the handler may have
		c.retry,      // a failed attempt is followed by another, after a pause
		c.timeout,    // bounds one attempt
		c.recover,    // a panic is a failed attempt
	}
}
