package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// restless is a handler that takes 0 to 5 ms and fails for one in a hundred
// messages at the first attempt.
type restless struct {
	*meter
	failed   []atomic.Bool
	versions []atomic.Uint64 // by key, what was handled last
	disorder atomic.Int64
}

var errRestless = errors.New("failed on purpose")

func newRestless(n, total int) *restless {
	return &restless{meter: newMeter(n, total), failed: make([]atomic.Bool, total), versions: make([]atomic.Uint64, keys)}
}

// attempt handles the message with a number.
func (r *restless) attempt(ctx context.Context, i int) error {
	if i < 0 || i >= len(r.failed) {
		return events.Errorf(events.CodeInternal, "the message %d is not one of the benchmark's", i)
	}
	if err := pause(ctx, rand.N(5*time.Millisecond)); err != nil { //nolint:gosec // Spreading needs no secret randomness.
		return err
	}
	if i*31%100 == 7 && !r.failed[i].Swap(true) {
		return errRestless
	}
	return nil
}

// inOrder checks that an aggregate's versions come as 1, 2, 3, …
func (r *restless) inOrder(i int, version uint64) {
	if !r.versions[i%keys].CompareAndSwap(version-1, version) {
		r.disorder.Add(1)
	}
}

// restlessRow measures a slow handler that sometimes fails, with the order of each key
// checked, compared with one plain subscriber.
func restlessRow(carrier broker) func(context.Context, *space) contest {
	return func(ctx context.Context, s *space) contest {
		n, few := s.count(100_000, 20_000), s.count(1_000, 200)
		msgs := standard(n).messages()
		app := s.openOn(ctx, carrier, "quorum", 0)
		app.fill(ctx, msgs, "bench")
		from := s.filled(ctx, carrier, "quorum", "plain", msgs[:few])
		return contest{
			plain: {named("1 subscriber", func(ctx context.Context) float64 {
				r := newRestless(few, n)
				return plainConsumer{subscribers: s.plainFrom(carrier, "quorum", 1), topic: from, handle: func(msg *message.Message) error {
					if err := r.attempt(msg.Context(), numberOf(msg.UUID)); err != nil {
						return err
					}
					r.markID(msg.UUID)
					return nil
				}}.run(ctx, r.meter)
			})},
			pitwheel: only(func(ctx context.Context) float64 { return app.restless(ctx, n) }),
		}
	}
}

// restless empties the queue with a restless handler.
func (a *application) restless(ctx context.Context, n int) float64 {
	r := newRestless(n, n)
	handler := router.On("bench", func(ctx context.Context, e router.Event[sample.Created]) error {
		i := numberOf(e.ID)
		if err := r.attempt(ctx, i); err != nil {
			return err
		}
		r.inOrder(i, e.Version)
		r.mark(i)
		return nil
	}, router.Policy{Concurrency: 64})
	rate := whileRunning(ctx, a.config(noRole, handler), r.wait)
	if wrong := r.disorder.Load(); wrong > 0 {
		check(events.Errorf(events.CodeInternal, "%d of %d messages were handled out of the order of their key", wrong, n))
	}
	return rate
}

// slowKey measures how long messages wait for their handler at a steady rate: the
// limit without, and Pitwheel with one key that takes a second a message.
func slowKey(ctx context.Context, s *space) contest {
	app := s.openOn(ctx, rabbitMQ, "quorum", 0)
	return contest{
		limit:    {named("no key slow", func(ctx context.Context) float64 { return app.waits(ctx, 0) })},
		pitwheel: {named("one key slow", func(ctx context.Context) float64 { return app.waits(ctx, time.Second) })},
	}
}

// waits publishes 2,000 messages a second over a hundred keys, and returns the 99th
// percentile of the time from then to the handler for all keys but the first one,
// which gets one message in two thousand and handles it slowly.
func (a *application) waits(ctx context.Context, slow time.Duration) float64 {
	const rate = 2_000
	n := a.space.count(8_000, 4_000)
	load := workload{n: n, keys: 100, size: bodySize}
	due, took := make([]atomic.Int64, n), make([]time.Duration, n)
	m, started := newMeter(n, n), time.Now()
	slowUser := userID(0)
	handler := router.On("bench", func(ctx context.Context, e router.Event[sample.Created]) error {
		if i := numberOf(e.ID); i >= 0 && i < n {
			took[i] = time.Since(started) - time.Duration(due[i].Load())
		}
		if e.AggregateID == slowUser {
			if err := pause(ctx, slow); err != nil {
				return err
			}
		}
		m.markID(e.ID)
		return nil
	})
	c := a.config(noRole, handler)
	c.Inbox = nil // Both runs have the same ids.
	whileRunning(ctx, c, func(ctx context.Context) float64 {
		var publishing errgroup.Group
		publisher := a.transport.Publisher()
		err := paced(ctx, rate/10, n/10, func(i int, at time.Time) {
			batch := make([]*message.Message, 10)
			for j := range batch {
				e := load.envelope(10*i + j)
				if key := (10*i + j) % load.keys; key == 0 && (10*i+j)%rate != 0 {
					e.AggregateID = userID(1)
				}
				batch[j] = asMessage(e)
				due[10*i+j].Store(int64(at.Sub(started)))
			}
			publishing.Go(func() error { return publisher.Publish(topic, batch...) })
		})
		check(errors.Join(err, publishing.Wait()))
		return m.wait(ctx)
	})
	var others []time.Duration
	for i, d := range took {
		if i%rate != 0 {
			others = append(others, d)
		}
	}
	return percentile(others, 99)
}
