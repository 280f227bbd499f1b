package router

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
	"github.com/pitwheel/pitwheel/router/internal/health"
)

// maxDeclarePause bounds the pause between attempts to declare a queue.
const maxDeclarePause = 2 * time.Second

// declaredQueue is the queue of a handler, which need not consume it in this process.
type declaredQueue struct {
	Subscriber
	name   string        // of the handler
	health health.Health // why a broker or store refuses to declare the queue
}

// err returns why the handler misses messages, or nil. That its queue is not consumed here
// does not count.
func (q *declaredQueue) err() error {
	if err := q.health.Err(); err != nil {
		return err
	}
	// A subscriber may notice later that it may not declare the queue again.
	if err := q.Ready(); events.CodeOf(err) == events.CodeConfig {
		return err
	}
	return nil
}

// declare makes one attempt, and returns an error with the code CONFIG if trying again does
// not help until somebody has done something about it.
func (q *declaredQueue) declare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, declareTimeout)
	defer cancel()
	err := q.Declare(ctx)
	switch {
	case err == nil:
		q.health.OK()
	case events.CodeOf(err) == events.CodeConfig:
		q.health.Set(err)
	}
	return err
}

// declareQueues declares the queues of all handlers, whether they run here or not. It
// returns those that a broker or store refuses to declare, which hold up nobody else, and
// false if ctx ended first.
func (r *Router) declareQueues(ctx context.Context) (refused []*declaredQueue, ok bool) {
	all := slices.Clone(r.declared)
	for _, c := range r.consumers {
		all = append(all, &declaredQueue{Subscriber: c.sub, name: c.plan.name})
	}
	for _, q := range all {
		pause := backoff.Backoff{Min: 100 * time.Millisecond, Max: maxDeclarePause}
		for {
			err := q.declare(ctx)
			if err == nil {
				break
			}
			if events.CodeOf(err) == events.CodeConfig {
				r.config.Logger.ErrorContext(ctx, "queue not declared, its handler receives nothing until that is fixed", slog.String("handler", q.name), slog.Any("error", err))
				refused = append(refused, q)
				break
			}
			r.relay.Health().Set(err)
			if !pause.Wait(ctx) {
				return refused, false
			}
		}
	}
	r.relay.Health().OK()
	return refused, true
}

// declareRefused declares a queue as soon as nothing stands in its way any more, or until
// ctx ends.
func (r *Router) declareRefused(ctx context.Context, q *declaredQueue) {
	pause := backoff.Backoff{Min: 100 * time.Millisecond, Max: maxDeclarePause}
	for pause.Wait(ctx) {
		err := q.declare(ctx)
		if err == nil {
			r.config.Logger.InfoContext(ctx, "queue is declared now", slog.String("handler", q.name))
			return
		}
		if events.CodeOf(err) == events.CodeShuttingDown {
			return
		}
	}
}
