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
// if its handler does not run here, is paused, Ordered, over its rate or held back by its
// circuit breaker; if the router is not running yet, or drains; and if the attempt here
// failed, or took three quarters of the time that ctx allows, or ctx has ended. The broker
// has a second at least to take it.
//
// Errors are those of [Commands.Execute], and two with the code INTERNAL: the handler failed
// permanently, and the command is a poison message; or a handler executes a command on the
// aggregate that it decides about.
func (r *Router) Execute(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Outcome, error) {
	e, err := r.commands.prepare(ctx, cmd, o)
	if err != nil {
		return events.Outcome{}, err
	}
	if holdsTurn(ctx, turnOf(e.Aggregate, e.AggregateID)) {
		return events.Outcome{}, events.Errorf(events.CodeInternal, "%s executes %s on the same %s %s, for which it would wait forever", HandlerName(ctx), e.Type, e.Aggregate, e.AggregateID).
			WithHint("send the command, or return its events from the decision")
	}
	c := r.deciders[e.Type]
	if c == nil {
		return r.commands.execute(ctx, e, mayRepeat(o))
	}
	run, queued, err := r.decideOrQueue(ctx, c, e)
	switch {
	case err != nil:
		return events.Outcome{}, err
	case queued:
		return r.commands.awaitSent(ctx, r.commands.hashedReceipt(e))
	case run.decided != nil && run.decided.Repeated:
		return checkedOutcome(r.commands.hashedReceipt(e), *run.decided)
	case run.decided != nil:
		return *run.decided, nil
	case run.outcome == outcomePoisoned:
		return events.Outcome{}, events.Errorf(events.CodeInternal, "the handler %s failed to decide the command %s, which is a poison message now", c.plan.name, e.ID).
			WithHint("mend the handler and retry the poison message; the log says why it failed")
	case run.action == actionAck:
		return events.Outcome{}, events.Errorf(events.CodeInternal, "the command %s has no outcome: a middleware of the application has dealt with the failure of %s", e.ID, c.plan.name)
	}
	return r.commands.execute(ctx, e, mayRepeat(o)) // It may not be decided here.
}

// decideOrQueue makes an attempt at a command, unless it may not be decided here; the
// result is then to give it back. A command that the attempt did not settle is published
// to its queue. A drain waits for both.
func (r *Router) decideOrQueue(ctx context.Context, c *consumer, e *events.Envelope) (run result, queued bool, err error) {
	if !r.executions.begin(deliveryOf(ctx) != nil) {
		return giveBack(0), false, nil
	}
	defer r.executions.end()
	if c.limiter != nil && !c.limiter.Allow() {
		return giveBack(0), false, nil
	}
	d, run := c.decideHere(ctx, e)
	if run.action == actionAck {
		return run, false, nil
	}
	// The message has its attempts, and when the next one is due, in its metadata.
	sending, cancel := withGrace(ctx)
	defer cancel()
	d.msg.SetContext(sending)
	if err := c.queues.Publish(c.plan.policy.Queue, d.msg); err != nil {
		return run, false, notSent(ctx, e.ID, err)
	}
	return run, true, nil
}

// decideHere makes one attempt at a command, within three quarters of the time that ctx
// allows.
func (c *consumer) decideHere(ctx context.Context, e *events.Envelope) (*delivery, result) {
	d := &delivery{Context: ctx, msg: codec.Encode(e), handler: c.plan.name, envelope: *e, executed: true}
	d.msg.SetContext(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		now := time.Now()
		d.until = now.Add(deadline.Sub(now) / 4 * 3)
	}
	return d, c.decide(d, d)
}

// executions counts the commands that are decided in this process for callers who wait.
// They are admitted from when all queues are declared until the drain begins, and those of
// running handlers until these have ended.
type executions struct {
	mu       sync.Mutex
	admitted bool
	running  int
	idle     chan struct{} // closed when none runs any more; nil until the drain
}

func (x *executions) admit() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.admitted = true
}

// begin reports whether another one may begin: nested, for a handler that runs.
func (x *executions) begin(nested bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.admitted || x.idle != nil && !nested {
		return false
	}
	x.running++
	return true
}

func (x *executions) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running--
	x.checkIdle()
}

// checkIdle is called with the lock held.
func (x *executions) checkIdle() {
	if x.running > 0 || x.idle == nil {
		return
	}
	select {
	case <-x.idle: // A nested one has begun and ended since.
	default:
		close(x.idle)
	}
}

// drain admits no more callers, and waits for those that run. If ctx ends first, the error
// has the code TIMEOUT.
func (x *executions) drain(ctx context.Context) error {
	x.mu.Lock()
	x.idle = make(chan struct{})
	x.checkIdle()
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
