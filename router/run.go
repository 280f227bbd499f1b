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
)

// closeTimeout is what Watermill's router may take to close after the drain, when
// there is nothing left to wait for but handlers that do not listen.
const closeTimeout = time.Second

// declareTimeout bounds one attempt to declare a queue, so that readiness can tell
// what is waited for.
const declareTimeout = 10 * time.Second

// Run consumes until ctx ends, then drains: intake ends at once, running handlers
// finish, their acknowledgements and the batches of relay and projections get
// out. It returns nil after a clean drain, and an error if something had to be
// given up at the deadline; what was given up is handed out again elsewhere.
func (r *Router) Run(ctx context.Context) error {
	shaft, err := message.NewRouter(message.RouterConfig{CloseTimeout: closeTimeout}, quietWhile(ctx, r.config.WatermillLogger))
	if err != nil {
		return err
	}
	for _, c := range r.consumers {
		h := shaft.AddConsumerHandler(c.plan.name, c.plan.topic, undrained{c.sub}, noMessages(c.pass))
		h.AddMiddleware(c.pipeline()...)
	}
	for _, k := range r.keepers {
		shaft.AddConsumerHandler(k.name(), "", undrained{k.sub}, k.keep)
	}

	// What runs in the background outlives ctx: it is stopped in its own order.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	var roles, shafts sync.WaitGroup
	shaftErr := make(chan error, 1)
	shafts.Go(func() { shaftErr <- shaft.Run(context.WithoutCancel(ctx)) })
	for _, p := range r.projectors {
		roles.Go(func() { r.lead(background, p.role(), p.run) })
	}
	roles.Go(func() { r.sampleGauges(background) })
	roles.Go(func() {
		// No event may pass a queue by, so all of them stand before the relay starts.
		if r.declareQueues(background) {
			r.lead(background, relayRole, r.relay.run)
		}
	})
	roles.Go(func() { r.announce(background) })

	// A stop that comes early waits for the start first: nothing can be drained
	// that is about to subscribe, and subscribing waits for no broker.
	for _, next := range []<-chan struct{}{shaft.Running(), ctx.Done()} {
		select {
		case <-next:
		case err := <-shaftErr:
			// Watermill ends by itself only if it could not start.
			stopBackground()
			roles.Wait()
			return fmt.Errorf("the router stopped by itself: %w", err)
		}
	}
	close(r.stopping)
	err = r.drain(ctx)
	stopBackground()
	roles.Wait()
	err = errors.Join(err, shaft.Close(), r.closeAll())
	shafts.Wait()
	if err == nil { // Else a handler that does not listen to its context keeps its goroutine.
		for _, c := range r.consumers {
			c.crew.dismiss()
		}
	}
	return err
}

// Running is closed when every handler consumes for the first time.
func (r *Router) Running() <-chan struct{} { return r.running }

// Ready tells for each handler or role that is not getting on why; it is empty
// when all is well. Paused handlers are well.
func (r *Router) Ready() map[string]error {
	out := map[string]error{}
	for _, c := range r.consumers {
		if err := c.sub.Ready(); err != nil {
			out[c.plan.name] = err
		} else if err := c.breaker.ailing(); err != nil {
			out[c.plan.name] = err
		}
	}
	for _, k := range r.keepers {
		if err := k.sub.Ready(); err != nil {
			out[k.name()] = err
		}
	}
	for _, p := range r.projectors {
		if err := p.pulse.ailing(); err != nil {
			out[p.plan.name] = err
		}
	}
	if err := r.relay.pulse.ailing(); err != nil {
		out[relayRole] = err
	}
	return out
}

// drain ends intake everywhere at once and waits for what is running.
func (r *Router) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.config.DrainTimeout)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(r.consumers))
	for i, c := range r.consumers {
		wg.Go(func() {
			if err := c.sub.Drain(ctx); err != nil {
				errs[i] = events.Errorf(events.CodeTimeout, "handler %s did not finish within %s, what it had in hand is handed out again: %w", c.plan.name, r.config.DrainTimeout, err)
			}
		})
	}
	for _, k := range r.keepers {
		wg.Go(func() { _ = k.sub.Drain(ctx) }) // What is given up is still in the queue.
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (r *Router) closeAll() error {
	var errs []error
	for _, c := range r.consumers {
		errs = append(errs, c.sub.Close())
	}
	for _, b := range r.bystanders {
		errs = append(errs, b.sub.Close())
	}
	for _, k := range r.keepers {
		errs = append(errs, k.sub.Close())
	}
	return errors.Join(errs...)
}

// lead takes part in the election for a role until ctx ends.
func (r *Router) lead(ctx context.Context, role string, f func(context.Context) error) {
	for failures := 1; ctx.Err() == nil; failures++ {
		err := r.config.Elector.Lead(ctx, role, f)
		if ctx.Err() != nil {
			return
		}
		r.logger.WarnContext(ctx, "election failed, trying again", slog.String("role", role), slog.Any("error", err))
		backoff.Wait(ctx, backoff.After(100*time.Millisecond, 5*time.Second, failures))
	}
}

// declareQueues declares the queues of all handlers, run here or not. It tells
// whether it got through before ctx ended.
func (r *Router) declareQueues(ctx context.Context) bool {
	all := slices.Clone(r.bystanders)
	for _, c := range r.consumers {
		all = append(all, declared{c.plan.topic, c.sub})
	}
	for _, d := range all {
		for failures := 1; ; failures++ {
			attempt, cancel := context.WithTimeout(ctx, declareTimeout)
			err := d.sub.Declare(attempt)
			cancel()
			if err == nil {
				break
			}
			if events.CodeOf(err) == events.CodeConfig {
				// The queue stands, and is not as it should be, which no trying mends. The
				// other handlers need not wait for that.
				r.logger.ErrorContext(ctx, "queue not declared, its handler gets nothing until that is mended", slog.Any("error", err))
				break
			}
			r.relay.pulse.set(err)
			if !backoff.Wait(ctx, backoff.After(100*time.Millisecond, 2*time.Second, failures)) {
				return false
			}
		}
	}
	r.relay.pulse.ok()
	return true
}

// announce closes the running channel once every handler consumes.
func (r *Router) announce(ctx context.Context) {
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
