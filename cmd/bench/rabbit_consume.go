package main

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// reaction is Pitwheel's handler of the benchmark's event, with the default policy.
func reaction(m *meter, wait time.Duration) router.Handler {
	return router.On("bench", func(ctx context.Context, e router.Event[sample.Created]) error {
		if err := pause(ctx, wait); err != nil {
			return err
		}
		m.markID(e.ID)
		return nil
	})
}

// plainReaction is the same for plain Watermill.
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
	// where all would take it too long: few ≤ some ≤ all.
	few, some int
}

// rabbitConsume fills the queues of all contestants by one publish.
func rabbitConsume(of func(*bench) consuming) func(context.Context, *space) (contest, error) {
	return func(ctx context.Context, s *space) (contest, error) {
		c := of(s.bench)
		queues := map[string]string{"plain1": "", "plain16": ""}
		if c.wait == 0 { // The raw client handles one message after the other.
			queues["raw"] = ""
		}
		for name := range queues {
			var err error
			if queues[name], err = s.bound(name, c.queueType); err != nil {
				return nil, err
			}
		}
		app, err := s.openOn(ctx, rabbitMQ, c.queueType, 0)
		if err != nil {
			return nil, err
		}
		if err := app.declare("bench"); err != nil {
			return nil, err
		}
		// A queue that has enough messages is unbound.
		msgs := publishings(c.load.messages())
		at := 0
		for _, until := range []struct {
			n     int
			queue string
		}{{c.few, "plain1"}, {c.some, "plain16"}, {c.load.n, ""}} {
			if _, err := s.publishRaw(ctx, msgs[at:until.n]); err != nil {
				return nil, err
			}
			at = until.n
			if until.queue != "" {
				if err := s.unbind(queues[until.queue]); err != nil {
					return nil, err
				}
			}
		}
		contest := contest{
			plain: {
				{"1 subscriber", one(func(ctx context.Context) (float64, error) { return s.plainRabbit(ctx, c, queues["plain1"], 1, c.few) })},
				{"16 subscribers", one(func(ctx context.Context) (float64, error) {
					return s.plainRabbit(ctx, c, queues["plain16"], 16, c.some)
				})},
			},
			pitwheel: {{"", one(func(ctx context.Context) (float64, error) { return app.consume(ctx, c) })}},
		}
		if raw := queues["raw"]; raw != "" {
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

// consume empties the application's queue, and checks that it is empty.
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
