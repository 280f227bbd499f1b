package main

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

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
	ledger    bool // Pitwheel has a ledger
}

// filled returns a queue of RabbitMQ, or a stream of Redis, that holds messages for a raw
// client or plain Watermill.
func (s *space) filled(ctx context.Context, carrier broker, queueType, name string, msgs []*message.Message) string {
	if carrier == redisDB {
		s.addRaw(ctx, s.key(name), msgs)
		return s.key(name)
	}
	queue := s.declareRaw(name, queueType)
	s.publishRaw(ctx, "", queue, publishings(msgs))
	return queue
}

// consumers is a row that fills a queue for each contestant, which empties it.
func consumers(carrier broker, of func(*bench) consuming) func(context.Context, *space) contest {
	return func(ctx context.Context, s *space) contest {
		c := of(s.bench)
		msgs := c.load.messages()
		app := s.openOn(ctx, carrier, c.queueType, 0)
		app.fill(ctx, msgs, "bench")
		plainly := func(who, name string, subscribers, n int) contestant {
			from := s.filled(ctx, carrier, c.queueType, name, msgs[:n])
			return named(who, func(ctx context.Context) float64 {
				m := newMeter(n, c.load.n)
				subs := s.plainFrom(carrier, c.queueType, subscribers)
				return plainConsumer{subscribers: subs, topic: from, handle: plainReaction(m, c.wait)}.run(ctx, m)
			})
		}
		contest := contest{
			plain:    {plainly("1 subscriber", "plain1", 1, c.few), plainly("16 subscribers", "plain16", 16, c.some)},
			pitwheel: only(func(ctx context.Context) float64 { return app.consume(ctx, c) }),
		}
		if c.wait == 0 { // The raw client handles one message after the other.
			raw := s.filled(ctx, carrier, c.queueType, "raw", msgs)
			consume := s.consumeRabbit
			if carrier == redisDB {
				consume = s.consumeStream
			}
			contest[limit] = only(func(ctx context.Context) float64 { return consume(ctx, raw, newMeter(c.load.n, c.load.n)) })
		}
		return contest
	}
}

// consume empties the application's queue, and checks that it is empty.
func (a *application) consume(ctx context.Context, c consuming) float64 {
	m := newMeter(c.load.n, c.load.n)
	config := a.config(noRole, reaction(m, c.wait))
	if c.ledger {
		config.Ledger, config.Audit, config.Marker = a.store, a.store, a.marker()
	}
	rate := whileRunning(ctx, config, m.wait)
	if a.broker != nil {
		a.space.onChannel(func(ch *amqp.Channel) {
			for _, name := range []string{a.space.queue("bench"), a.space.queue("bench.poison")} {
				if q := get(ch.QueueDeclarePassive(name, true, false, false, false, nil)); q.Messages > 0 {
					check(events.Errorf(events.CodeInternal, "%d messages are left in %s after a clean stop", q.Messages, name))
				}
			}
		})
	}
	return rate
}
