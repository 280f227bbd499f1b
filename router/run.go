package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
	"github.com/pitwheel/pitwheel/router/internal/audit"
	"github.com/pitwheel/pitwheel/router/internal/catchup"
	"github.com/pitwheel/pitwheel/router/internal/health"
	"github.com/pitwheel/pitwheel/router/internal/relay"
)

const (
	// closeTimeout bounds the closing of Watermill's router after the drain, when only
	// handlers that ignore their context are left.
	closeTimeout = 250 * time.Millisecond
	// finishTimeout is how long after [Config].DrainTimeout relay and projections may
	// complete their batches.
	finishTimeout = 250 * time.Millisecond
	// declareTimeout bounds one attempt to declare a queue, so that readiness can show
	// the error.
	declareTimeout = 10 * time.Second
)

// Run consumes until ctx ends, and then drains: nothing more is received, running
// handlers finish, and their acknowledgements and the batches of relay and projections
// are completed. It returns nil after a clean drain, and an error if messages had to be
// given back at [Config].DrainTimeout; those are delivered again.
//
// Run may be called once. It tries again for as long as a broker or a store cannot be
// reached; [Router.Ready] reports why.
func (r *Router) Run(ctx context.Context) error {
	watermillRouter, err := message.NewRouter(message.RouterConfig{CloseTimeout: closeTimeout}, quietAfter(ctx, r.config.WatermillLogger))
	if err != nil {
		return err
	}
	for _, c := range r.consumers {
		h := watermillRouter.AddConsumerHandler(c.plan.name, c.plan.topic, undrained{c.sub}, c.process())
		h.AddMiddleware(c.workers.Middleware)
	}
	for _, k := range r.collectors {
		watermillRouter.AddConsumerHandler(k.name(), "", undrained{k.sub}, k.collect)
	}

	instance := events.NewID()
	// Background roles outlive ctx: they are stopped after the drain, and complete their
	// batches until the limit.
	limit, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	background, stopBackground := context.WithCancel(catchup.WithLimit(context.WithoutCancel(ctx), limit))
	defer stopBackground()
	var roles, routers sync.WaitGroup
	routerErr := make(chan error, 1)
	routers.Go(func() { routerErr <- watermillRouter.Run(context.WithoutCancel(ctx)) })
	for _, p := range r.projectors {
		roles.Go(func() { r.lead(background, p.role(), p.run) })
	}
	roles.Go(func() { r.sampleGauges(background) })
	if r.config.Ledger != nil {
		roles.Go(func() {
			if r.beginLedgers(background) {
				r.lead(background, audit.Role, r.auditor.Run)
			}
		})
	}
	attending, leave := context.WithCancel(background) // Until what was received is done.
	defer leave()
	for _, c := range r.consumers {
		if c.account != nil {
			roles.Go(func() { c.attend(attending, instance) })
		}
	}
	roles.Go(func() { r.guard.run(background) })
	roles.Go(func() {
		// No queue may miss an event, so all of them are declared before the relay starts.
		refused, ok := r.declareQueues(background)
		for _, q := range refused {
			roles.Go(func() { r.declareRefused(background, q) })
		}
		if ok {
			r.executions.admit()
			close(r.queuesDeclared)
			r.lead(background, relay.Role, r.relay.Run)
		}
	})
	roles.Go(func() { r.keepTopology(background) })
	roles.Go(func() { r.awaitReady(background) })

	// An early stop waits for the start: a subscriber that is about to subscribe cannot be
	// drained, and subscribing does not wait for the broker.
	for _, next := range []<-chan struct{}{watermillRouter.Running(), ctx.Done()} {
		select {
		case <-next:
		case err := <-routerErr:
			// Watermill's router stops by itself only if it could not start.
			stopBackground()
			roles.Wait()
			return errors.Join(fmt.Errorf("Watermill's router stopped by itself: %w", err), r.closeAll())
		}
	}
	close(r.stopping)
	defer time.AfterFunc(r.config.DrainTimeout+finishTimeout, giveUp).Stop()
	err = r.drain(ctx)
	stopBackground()
	roles.Wait()
	err = errors.Join(err, watermillRouter.Close(), r.closeAll())
	routers.Wait()
	if err == nil { // Otherwise a handler that ignores its context still has its worker.
		for _, c := range r.consumers {
			c.workers.Stop()
		}
	}
	return err
}

// Declared returns a channel that is closed once the queues of all handlers are
// declared: from then on a command finds its queue, whatever holds up its handler.
func (r *Router) Declared() <-chan struct{} { return r.queuesDeclared }

// Running returns a channel that is closed once the queues of all handlers are declared
// and every handler consumes.
func (r *Router) Running() <-chan struct{} { return r.running }

// Ready returns why a handler or a background role makes no progress, by its name. It
// is empty if all do. A paused handler is not an error.
func (r *Router) Ready() map[string]error {
	out := map[string]error{}
	for _, c := range r.consumers {
		if err := c.sub.Ready(); err != nil {
			out[c.plan.name] = err
		} else if err := c.breaker.err(); err != nil {
			out[c.plan.name] = err
		} else if err := c.refusals.get(); err != nil {
			out[c.plan.name] = err
		}
	}
	for _, q := range r.declared {
		if err := q.err(); err != nil {
			out[q.name] = err
		}
	}
	for _, k := range r.collectors {
		if err := k.sub.Ready(); err != nil {
			out[k.name()] = err
		}
	}
	for _, p := range r.projectors {
		if err := p.health.Err(); err != nil {
			out[p.name] = err
		}
	}
	if err := r.relay.Health().Err(); err != nil {
		out[relay.Role] = err
	}
	if err := r.auditor.Health().Err(); err != nil {
		out[audit.Role] = err
	}
	if err := r.guard.health.Err(); err != nil {
		out[logName] = err
	}
	return out
}

// drain stops receiving everywhere at once, and waits for what is running.
func (r *Router) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.config.DrainTimeout)
	defer cancel()
	r.logDraining(ctx)
	var wg sync.WaitGroup
	errs := make([]error, len(r.consumers)+1)
	for i, c := range r.consumers {
		wg.Go(func() {
			if err := c.sub.Drain(ctx); err != nil {
				errs[i] = events.Errorf(events.CodeTimeout, "handler %s did not finish within %s, its messages are delivered again: %w", c.plan.name, r.config.DrainTimeout, err)
			}
		})
	}
	wg.Go(func() { errs[len(r.consumers)] = r.executions.drain(ctx) })
	for _, k := range r.collectors {
		wg.Go(func() { _ = k.sub.Drain(ctx) }) // What is not stored is still in the queue.
	}
	wg.Wait()
	return errors.Join(errs...)
}

// logDraining logs what a drain waits for, and until when.
func (r *Router) logDraining(ctx context.Context) {
	running, handlers := 0, []string{}
	for _, c := range r.consumers {
		if n := int(c.running.Load()); n > 0 {
			running += n
			handlers = append(handlers, c.plan.name)
		}
	}
	until, _ := ctx.Deadline()
	r.config.Logger.InfoContext(ctx, "draining", slog.Int("messages_running", running), slog.Any("handlers_running", handlers), slog.Time("until", until))
}

func (r *Router) closeAll() error {
	var all []Subscriber
	for _, q := range r.declared {
		all = append(all, q)
	}
	for _, c := range r.consumers {
		all = append(all, c.sub)
	}
	for _, k := range r.collectors {
		all = append(all, k.sub)
	}
	// Together, as each may wait for a broker that does not answer.
	var closing sync.WaitGroup
	errs := make([]error, len(all))
	for i, sub := range all {
		closing.Go(func() { errs[i] = sub.Close() })
	}
	closing.Wait()
	return errors.Join(errs...)
}

// lead takes part in the election for a role until ctx ends. A role that has failed here is
// left to other instances for a moment; without any, it comes back.
func (r *Router) lead(ctx context.Context, role string, f func(context.Context) error) {
	pause := backoff.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}
	for ctx.Err() == nil {
		failed := false
		err := r.config.Elector.Lead(ctx, role, func(ctx context.Context) error {
			err := f(ctx)
			failed = err != nil
			return err
		})
		switch {
		case ctx.Err() != nil:
			return
		case failed:
			r.config.Logger.WarnContext(ctx, "a background role fails here, another instance may take it", slog.String("role", role), slog.Any("error", err))
			backoff.Wait(ctx, health.StandAside)
		default:
			r.config.Logger.WarnContext(ctx, "election failed, trying again", slog.String("role", role), slog.Any("error", err))
			pause.Wait(ctx)
		}
	}
}

// awaitReady closes the running channel once every queue is declared and every handler
// consumes.
func (r *Router) awaitReady(ctx context.Context) {
	select {
	case <-r.queuesDeclared:
	case <-ctx.Done():
		return
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for len(r.Ready()) > 0 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
	close(r.running)
}
