package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
	"github.com/pitwheel/pitwheel/router/internal/relay"
)

const (
	// closeTimeout bounds the closing of Watermill's router after the drain, when only
	// handlers that ignore their context are left.
	closeTimeout = time.Second
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

	// Background roles outlive ctx: they are stopped after the drain.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	var roles, routers sync.WaitGroup
	routerErr := make(chan error, 1)
	routers.Go(func() { routerErr <- watermillRouter.Run(context.WithoutCancel(ctx)) })
	for _, p := range r.projectors {
		roles.Go(func() { r.lead(background, p.role(), p.run) })
	}
	roles.Go(func() { r.sampleGauges(background) })
	roles.Go(func() { r.guard.run(background) })
	roles.Go(func() {
		// No queue may miss an event, so all of them are declared before the relay starts.
		if r.declareQueues(background) {
			r.executions.admit()
			close(r.queuesDeclared)
			r.lead(background, relay.Role, r.relay.Run)
		}
	})
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
	var errs []error
	for _, c := range r.consumers {
		errs = append(errs, c.sub.Close())
	}
	for _, sub := range r.declared {
		errs = append(errs, sub.Close())
	}
	for _, k := range r.collectors {
		errs = append(errs, k.sub.Close())
	}
	return errors.Join(errs...)
}

// lead takes part in the election for a role until ctx ends.
func (r *Router) lead(ctx context.Context, role string, f func(context.Context) error) {
	pause := backoff.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}
	for ctx.Err() == nil {
		err := r.config.Elector.Lead(ctx, role, f)
		if ctx.Err() != nil {
			return
		}
		r.config.Logger.WarnContext(ctx, "election failed, trying again", slog.String("role", role), slog.Any("error", err))
		pause.Wait(ctx)
	}
}

// declareQueues declares the queues of all handlers, whether they run here or not. It
// returns false if ctx ended first.
func (r *Router) declareQueues(ctx context.Context) bool {
	all := slices.Clone(r.declared)
	for _, c := range r.consumers {
		all = append(all, c.sub)
	}
	for _, sub := range all {
		pause := backoff.Backoff{Min: 100 * time.Millisecond, Max: 2 * time.Second}
		for {
			attempt, cancel := context.WithTimeout(ctx, declareTimeout)
			err := sub.Declare(attempt)
			cancel()
			if err == nil {
				break
			}
			if events.CodeOf(err) == events.CodeConfig {
				// The queue exists with other arguments, and trying again cannot help. The other
				// handlers need not wait.
				r.config.Logger.ErrorContext(ctx, "queue not declared, its handler receives nothing until that is fixed", slog.Any("error", err))
				break
			}
			r.relay.Health().Set(err)
			if !pause.Wait(ctx) {
				return false
			}
		}
	}
	r.relay.Health().OK()
	return true
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
