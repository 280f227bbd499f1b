package main

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
	"github.com/pitwheel/pitwheel/router"
)

// reaction is Pitwheel's handler of the benchmark's event, with the default policy.
func reaction(m *meter, wait time.Duration) router.Handler {
	return router.On("bench", func(ctx context.Context, e router.Event[users.Created]) error {
		if err := pause(ctx, wait); err != nil {
			return err
		}
		m.markID(e.ID)
		return nil
	})
}

// plainReaction is the same for Watermill as it comes.
func plainReaction(m *meter, wait time.Duration) func(*message.Message) error {
	return func(msg *message.Message) error {
		if err := pause(msg.Context(), wait); err != nil {
			return err
		}
		m.markID(msg.UUID)
		return nil
	}
}

// consuming is a row that empties queues which were filled before.
type consuming struct {
	queueType string
	wait      time.Duration // what the handler waits
	load      workload
	// few and some are how much plain Watermill takes with 1 and with 16 subscribers,
	// where it would take too long with all.
	few, some int
}

// rabbitConsume fills a queue for each contestant by one publish.
func rabbitConsume(of func(*bench) consuming) func(context.Context, *space) (contest, error) {
	return func(ctx context.Context, s *space) (contest, error) {
		c := of(s.bench)
		raw, err := s.bound("raw", c.queueType)
		if err != nil {
			return nil, err
		}
		single, err := s.bound("plain1", c.queueType)
		if err != nil {
			return nil, err
		}
		sixteen, err := s.bound("plain16", c.queueType)
		if err != nil {
			return nil, err
		}
		app, err := s.openOn(ctx, rabbitMQ, c.queueType, 0)
		if err != nil {
			return nil, err
		}
		if err := app.declare("bench"); err != nil {
			return nil, err
		}
		if err := s.fillRabbit(ctx, c.load); err != nil {
			return nil, err
		}
		contest := contest{
			plain: {
				{"1 subscriber", one(func(ctx context.Context) (float64, error) { return s.plainRabbit(ctx, c, single, 1, c.few) })},
				{"16 subscribers", one(func(ctx context.Context) (float64, error) { return s.plainRabbit(ctx, c, sixteen, 16, c.some) })},
			},
			pitwheel: {{"", one(func(ctx context.Context) (float64, error) { return app.consume(ctx, c) })}},
		}
		if c.wait == 0 { // The raw client handles one message after the other.
			contest[limit] = []contestant{{"", one(func(ctx context.Context) (float64, error) {
				return s.consumeRaw(ctx, raw, newMeter(c.load.n, c.load.n))
			})}}
		}
		return contest, nil
	}
}

func (s *space) plainRabbit(ctx context.Context, c consuming, queue string, subscribers, n int) (float64, error) {
	subs, err := s.plainFromRabbit(subscribers, c.queueType)
	if err != nil {
		return 0, err
	}
	m := newMeter(n, c.load.n)
	return plainConsumer{subscribers: subs, topic: queue, handle: plainReaction(m, c.wait)}.run(ctx, m)
}

// consume empties the application's queue, and makes sure that it is empty.
func (a *application) consume(ctx context.Context, c consuming) (float64, error) {
	m := newMeter(c.load.n, c.load.n)
	stop, _, err := a.start(ctx, []router.Handler{reaction(m, c.wait)}, a.nothingElse)
	if err != nil {
		return 0, err
	}
	rate, err := m.wait(ctx)
	if stopErr := stop(); err == nil {
		err = stopErr
	}
	if err != nil || a.broker == nil {
		return rate, err
	}
	for _, q := range []string{"bench", "bench.poison"} {
		if left, err := a.space.waiting(a.space.queue(q)); err != nil || left > 0 {
			return 0, events.Errorf(events.CodeInternal, "%d messages are left in %s after a clean stop (error: %v)", left, q, err)
		}
	}
	return rate, nil
}
