package main

import (
	"context"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// halfRate is half the throughput that is asked for, in commands a second; latency
// is measured at it, and at half of it.
const halfRate = 2_500

// way is how a command gets to the handler that decides it.
type way bool

const (
	queued way = false // through its queue, to any process
	inside way = true  // in the process that was asked
)

// serving is how the sample application is run.
type serving struct {
	partitions int // of the log, 0 is the default
	way        way
}

// reference is the running sample application.
type reference struct {
	*effects
	// execute sends a command and returns its outcome.
	execute func(context.Context, events.Command, events.SendOptions) (events.Outcome, error)
	next    atomic.Int64 // number of the next user
}

// whileServing runs the sample application, with those background roles whose names start
// with role, while it measures.
func whileServing[T any](ctx context.Context, a *application, role string, by way, measure func(context.Context, *reference) T) T {
	ref := &reference{effects: &effects{store: a.store}}
	return withRouter(ctx, a.config(role, sample.Handlers(ref.welcome)...), func(ctx context.Context, r *router.Router) T {
		ref.execute = r.Execute
		if by == queued {
			ref.execute = get(router.NewCommands(router.CommandsConfig{Catalogue: a.catalogue, Publisher: a.transport.Publisher(), Log: a.store})).Execute
		}
		return measure(ctx, ref)
	})
}

// serve runs the sample application with every handler, and measures once all of it
// consumes and is warm.
func (s *space) serve(ctx context.Context, how serving, measure func(context.Context, *reference) []float64) []float64 {
	a := s.openOn(ctx, rabbitMQ, "quorum", how.partitions)
	return whileServing(ctx, a, everyRole, how.way, func(ctx context.Context, r *reference) []float64 {
		r.flood(ctx, senders, 300)
		r.drained(ctx)
		return measure(ctx, r)
	})
}

// create sends one command and waits for its outcome.
func (r *reference) create(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n := r.next.Add(1)
	outcome, err := r.execute(ctx, sample.Create{Email: "user" + strconv.FormatInt(n, 10) + "@example.com", Name: "Ada Lovelace"}, events.SendOptions{})
	if err == nil && (outcome.Status != events.StatusAccepted || outcome.Version != 1) {
		err = events.Errorf(events.CodeInternal, "a command was %s at version %d", outcome.Status, outcome.Version)
	}
	return err
}

// flood sends n commands as fast as their outcomes arrive, several at once, and returns how
// many a second do.
func (r *reference) flood(ctx context.Context, atOnce, n int) float64 {
	r.sent += int64(n)
	return concurrently(ctx, atOnce, n, func(ctx context.Context, _, _, _ int) error { return r.create(ctx) })
}

// throughput measures commands a second until their outcomes are known, and until
// all their effects are done.
func throughput(ctx context.Context, s *space, how serving, n int) []float64 {
	return s.serve(ctx, how, func(ctx context.Context, r *reference) []float64 {
		started := time.Now()
		known := r.flood(ctx, senders, n)
		r.drained(ctx)
		return []float64{known, perSecond(n, time.Since(started))}
	})
}

// latency measures how long a sender waits for an outcome while commands come at a
// quarter and then at half of the rate that is asked for, whether or not earlier ones
// are done.
func latency(ctx context.Context, s *space, n int) []float64 {
	return s.serve(ctx, serving{way: queued}, func(ctx context.Context, r *reference) []float64 {
		var out []float64
		for _, rate := range []float64{halfRate / 2, halfRate} {
			took := r.pace(ctx, rate, n)
			out = append(out, percentile(took, 50), percentile(took, 99))
		}
		return out
	})
}

// pace sends n commands at a rate and returns how long each took, from when it was
// due until its outcome was known.
func (r *reference) pace(ctx context.Context, rate float64, n int) []time.Duration {
	took := timings(ctx, rate, n, r.create)
	r.sent += int64(n)
	r.drained(ctx)
	return took
}

// carried is the limit of commands a second: the raw client alone publishes,
// confirms and consumes as many messages twice, once for the commands and once for
// their events, and nothing else is done.
func carried(ctx context.Context, s *space, n int) []float64 {
	queue := s.bound("raw", "quorum", userType)
	msgs := publishings(standard(n).messages())
	perCommand := 0.0 // seconds
	for range 2 {
		published := s.publishRaw(ctx, s.exchange(topic), userType, msgs)
		consumed := s.consumeRabbit(ctx, queue, newMeter(n, n))
		perCommand += 1/published + 1/consumed
	}
	return []float64{1 / perCommand, math.NaN()}
}
