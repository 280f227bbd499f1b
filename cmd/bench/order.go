package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

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
func restlessRow(carrier broker) func(context.Context, *space) (contest, error) {
	return func(ctx context.Context, s *space) (contest, error) {
		n, few := s.count(100_000, 20_000), s.count(1_000, 200)
		load := standard(n)
		app, err := s.openOn(ctx, carrier, "quorum", 0)
		if err != nil {
			return nil, err
		}
		if err := app.declare("bench"); err != nil {
			return nil, err
		}
		msgs := load.messages()
		var subscribe func() ([]message.Subscriber, error)
		var from string
		if carrier == rabbitMQ {
			if from, err = s.bound("plain", "quorum"); err != nil {
				return nil, err
			}
			subscribe = func() ([]message.Subscriber, error) { return s.plainFromRabbit(1, "quorum") }
			err = s.fillRabbit(ctx, load)
		} else {
			from = s.key("plain")
			subscribe = func() ([]message.Subscriber, error) { return s.plainFromRedis(1, "plain") }
			if _, err = s.addRaw(ctx, from, msgs[:few]); err == nil {
				_, err = publishAll(app.transport.Publisher(), topic, msgs, 1, publishBatch)
			}
		}
		if err != nil {
			return nil, err
		}
		return contest{
			plain: {{"1 subscriber", one(func(ctx context.Context) (float64, error) {
				subs, err := subscribe()
				if err != nil {
					return 0, err
				}
				r := newRestless(few, n)
				return plainConsumer{subscribers: subs, topic: from, handle: func(msg *message.Message) error {
					if err := r.attempt(msg.Context(), numberOf(msg.UUID)); err != nil {
						return err
					}
					r.markID(msg.UUID)
					return nil
				}}.run(ctx, r.meter)
			})}},
			pitwheel: {{"", one(func(ctx context.Context) (float64, error) { return app.restless(ctx, n) })}},
		}, nil
	}
}

// restless empties the queue with a restless handler.
func (a *application) restless(ctx context.Context, n int) (float64, error) {
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
	stop, _, err := a.start(ctx, []router.Handler{handler}, a.nothingElse)
	if err != nil {
		return 0, err
	}
	rate, err := r.wait(ctx)
	if stopErr := stop(); err == nil {
		err = stopErr
	}
	if wrong := r.disorder.Load(); err == nil && wrong > 0 {
		err = events.Errorf(events.CodeInternal, "%d of %d messages were handled out of the order of their key", wrong, n)
	}
	return rate, err
}

// slowKey measures how long messages wait for their handler at a steady rate: the
// limit without, and Pitwheel with one key that takes a second a message.
func slowKey(ctx context.Context, s *space) (contest, error) {
	app, err := s.openOn(ctx, rabbitMQ, "quorum", 0)
	if err != nil {
		return nil, err
	}
	if err := app.declare("bench"); err != nil {
		return nil, err
	}
	return contest{
		limit:    {{"no key slow", one(func(ctx context.Context) (float64, error) { return app.waits(ctx, 0) })}},
		pitwheel: {{"one key slow", one(func(ctx context.Context) (float64, error) { return app.waits(ctx, time.Second) })}},
	}, nil
}

// waits publishes 2,000 messages a second over a hundred keys, and returns the 99th
// percentile of the time from then to the handler for all keys but the first one,
// which gets one message in two thousand and handles it slowly.
func (a *application) waits(ctx context.Context, slow time.Duration) (float64, error) {
	const rate = 2_000
	n := a.space.count(8_000, 4_000)
	load := workload{n: n, keys: 100, size: bodySize}
	due, took := make([]atomic.Int64, n), make([]time.Duration, n)
	m, started := newMeter(n, n), time.Now()
	lazy := userID(0)
	handler := router.On("bench", func(ctx context.Context, e router.Event[sample.Created]) error {
		if i := numberOf(e.ID); i >= 0 && i < n {
			took[i] = time.Since(started) - time.Duration(due[i].Load())
		}
		if e.AggregateID == lazy {
			if err := pause(ctx, slow); err != nil {
				return err
			}
		}
		m.markID(e.ID)
		return nil
	})
	stop, running, err := a.start(ctx, []router.Handler{handler}, func(c *router.Config) {
		c.Inbox = nil // Both runs have the same ids.
		a.nothingElse(c)
	})
	if err != nil {
		return 0, err
	}
	<-running
	publisher := a.transport.Publisher()
	failed := make(chan error, n)
	err = paced(ctx, rate/10, n/10, func(i int, at time.Time) {
		batch := make([]*message.Message, 10)
		for j := range batch {
			e := load.envelope(10*i + j)
			if key := (10*i + j) % load.keys; key == 0 && (10*i+j)%rate != 0 {
				e.AggregateID = userID(1)
			}
			batch[j] = message.NewMessage(e.ID, events.Encode(e))
			batch[j].Metadata = metadata(e)
			due[10*i+j].Store(int64(at.Sub(started)))
		}
		go func() { failed <- publisher.Publish(topic, batch...) }()
	})
	for i := 0; i < n/10 && err == nil; i++ {
		err = <-failed
	}
	if err == nil {
		_, err = m.wait(ctx)
	}
	if stopErr := stop(); err == nil {
		err = stopErr
	}
	var others []time.Duration
	for i, d := range took {
		if i%rate != 0 {
			others = append(others, d)
		}
	}
	return percentile(others, 99), err
}
