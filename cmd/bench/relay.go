package main

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// relaying measures relaying from the log to a queue of RabbitMQ, with confirms. Plain
// Watermill uses its forwarder.
func relaying(ctx context.Context, s *space) contest {
	app := s.openOn(ctx, rabbitMQ, "quorum", 0)
	queue := s.bound("all", "quorum", "#") // The log holds events of several types.
	n := s.count(50_000, 4_000)
	app.record(ctx, n)
	msgs := standard(n).messages()
	raw := publishings(msgs)
	some := msgs[:s.count(5_000, 150)]
	return contest{
		limit: only(func(ctx context.Context) float64 {
			rate := s.publishRaw(ctx, s.exchange(topic), userType, raw)
			s.arrived(queue, n)
			return rate
		}),
		plain: {named("forwarder", func(ctx context.Context) float64 { return s.forward(ctx, some) })},
		pitwheel: only(func(ctx context.Context) float64 {
			rate := app.timed(ctx, n, "relay")
			s.arrived(queue, n)
			return rate
		}),
	}
}

// relayAlone relays n events, and returns how many a second.
func (s *space) relayAlone(ctx context.Context, n int) float64 {
	app, queue := s.openOn(ctx, rabbitMQ, "quorum", 0), s.bound("all", "quorum", "#")
	app.record(ctx, n)
	rate := app.timed(ctx, n, "relay")
	s.arrived(queue, n)
	return rate
}

// forward runs Watermill's forwarder from a Redis stream to RabbitMQ until all
// messages have arrived.
func (s *space) forward(ctx context.Context, msgs []*message.Message) (rate float64) {
	in := get(redisstream.NewPublisher(redisstream.PublisherConfig{Client: s.redisClient()}, nil))
	outbox := forwarder.NewPublisher(in, forwarder.PublisherConfig{ForwarderTopic: s.key("outbox")})
	// The forwarder's publisher does not declare queues.
	check(outbox.Publish(s.bound("forwarded", "quorum"), msgs...))
	out := s.plainPublisher("quorum", 1)
	defer func() { _ = out.Close() }()
	m := newMeter(len(msgs), len(msgs))
	f := get(forwarder.NewForwarder(s.plainFrom(redisDB, "", 1)[0], counted{out, m}, watermill.NopLogger{},
		forwarder.Config{ForwarderTopic: s.key("outbox")}))
	ended := make(chan error, 1)
	go func() { ended <- f.Run(context.WithoutCancel(ctx)) }()
	err := catch(func() { rate = m.wait(ctx) })
	check(errors.Join(err, f.Close(), <-ended))
	return rate
}

// counted counts what was published, once it is confirmed.
type counted struct {
	message.Publisher
	*meter
}

// Publish publishes.
func (c counted) Publish(to string, msgs ...*message.Message) error {
	if err := c.Publisher.Publish(to, msgs...); err != nil {
		return err
	}
	for _, m := range msgs {
		e, err := events.Decode(m.Payload, events.Header{})
		if err != nil {
			return err
		}
		c.markID(e.ID)
	}
	return nil
}
