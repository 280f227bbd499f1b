package router

import (
	"context"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/codec"
)

// Execute decides a command, and returns its outcome. Where its handler runs in this
// process, the command is decided right here, without a broker: the log's check of the
// version makes any process safe to decide. It goes through the same pipeline as a
// command from the queue.
//
// The command is sent to its queue, and the outcome awaited, as [Commands.Execute] does:
// if its handler does not run here, is paused, over its rate or held back by its circuit
// breaker; if the router is not running yet, or drains; and if the attempt here failed or
// took three quarters of the time that ctx allows, so that whatever happens to this
// process the broker has the command.
//
// Errors are those of [Commands.Execute], and one with the code INTERNAL if the handler
// failed permanently: the command is a poison message then.
func (r *Router) Execute(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Outcome, error) {
	e, err := r.commands.prepare(ctx, cmd, o)
	if err != nil {
		return events.Outcome{}, err
	}
	c := r.deciders[e.Type]
	if c == nil || c.limiter != nil && !c.limiter.Allow() || !r.executions.begin() {
		return r.commands.execute(ctx, e, o.ID != "")
	}
	d, run := c.decideHere(ctx, e)
	r.executions.end()
	switch {
	case run.decided != nil:
		return checkedOutcome(receiptOf(e), *run.decided)
	case ctx.Err() != nil:
		return events.Outcome{}, unknownOutcome(e.ID, ctx.Err())
	case run.outcome == outcomePoisoned:
		return events.Outcome{}, events.Errorf(events.CodeInternal, "the handler %s failed to decide the command %s, which is a poison message now", c.plan.name, e.ID).
			WithHint("mend the handler and retry the poison message; the log says why it failed")
	case run.action == actionAck:
		return events.Outcome{}, events.Errorf(events.CodeInternal, "the command %s has no outcome: a middleware of the application has dealt with the failure of %s", e.ID, c.plan.name)
	}
	// The message has its attempts, and when the next one is due, in its metadata.
	d.msg.SetContext(ctx)
	if err := c.queues.Publish(c.plan.policy.Queue, d.msg); err != nil {
		return events.Outcome{}, err
	}
	return r.commands.awaitSent(ctx, receiptOf(e))
}

// decideHere makes one attempt at a command, within three quarters of the time that ctx
// allows.
func (c *consumer) decideHere(ctx context.Context, e *events.Envelope) (*delivery, result) {
	d := &delivery{Context: ctx, msg: codec.Encode(e), handler: c.plan.name, envelope: *e}
	d.msg.SetContext(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		now := time.Now()
		d.until = now.Add(deadline.Sub(now) / 4 * 3)
	}
	return d, c.decide(d, d)
}

// executions counts the commands that are decided in this process for callers who wait.
// They are admitted from when all queues are declared until the drain begins.
type executions struct {
	mu      sync.Mutex
	open    bool
	running int
	idle    chan struct{} // closed when none runs any more; nil until the drain
}

func (x *executions) admit() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.open = x.idle == nil
}

// begin reports whether another one may begin.
func (x *executions) begin() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.open {
		x.running++
	}
	return x.open
}

func (x *executions) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running--
	if x.running == 0 && x.idle != nil {
		close(x.idle)
	}
}

// drain admits no more, and waits for those that run. If ctx ends first, the error has
// the code TIMEOUT.
func (x *executions) drain(ctx context.Context) error {
	x.mu.Lock()
	x.open, x.idle = false, make(chan struct{})
	if x.running == 0 {
		close(x.idle)
	}
	x.mu.Unlock()
	select {
	case <-x.idle:
		return nil
	case <-ctx.Done():
		x.mu.Lock()
		defer x.mu.Unlock()
		return events.Errorf(events.CodeTimeout, "%d commands that callers wait for were not decided in time: %w", x.running, ctx.Err())
	}
}
