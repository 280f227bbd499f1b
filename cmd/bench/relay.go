package main

import (
	"context"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// relaying measures relaying from the log to a queue of RabbitMQ, with confirms. Plain
// Watermill uses its forwarder.
func relaying(ctx context.Context, s *space) (contest, error) {
	app, err := s.openOn(ctx, rabbitMQ, "quorum", 0)
	if err != nil {
		return nil, err
	}
	queue, err := s.bound("all", "quorum")
	if err != nil {
		return nil, err
	}
	n := s.count(50_000, 4_000)
	if err := app.record(ctx, n); err != nil {
		return nil, err
	}
	msgs := standard(n).messages()
	raw := publishings(msgs)
	some := msgs[:s.count(5_000, 150)]
	// The log holds other events than the one the queue is bound to.
	if err := s.bindAll(queue); err != nil {
		return nil, err
	}
	return contest{
		limit: {{"", one(func(ctx context.Context) (float64, error) {
			rate, err := s.publishRaw(ctx, raw)
			if err == nil {
				err = s.arrived(queue, n)
			}
			return rate, err
		})}},
		plain: {{"forwarder", one(func(ctx context.Context) (float64, error) { return s.forward(ctx, some) })}},
		pitwheel: {{"", one(func(ctx context.Context) (float64, error) {
			watch := newStopwatch(n)
			stop, _, err := app.start(ctx, nil, func(c *router.Config) {
				c.Elector = onlyRole{app.store, "relay"}
				c.Reader = timedReader{app.store, watch}
				c.Checkpoints = timedCheckpoints{app.store, watch}
			})
			if err != nil {
				return 0, err
			}
			rate, err := watch.wait(ctx)
			if stopErr := stop(); err == nil {
				err = stopErr
			}
			if err == nil {
				err = s.arrived(queue, n)
			}
			return rate, err
		})}},
	}, nil
}

// bindAll binds a queue to every type of event.
func (s *space) bindAll(queue string) error {
	ch, err := s.channel()
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	return ch.QueueBind(queue, "#", s.exchange(topic), false, nil)
}

// forward runs Watermill's forwarder from a Redis stream to RabbitMQ until all
// messages have arrived.
func (s *space) forward(ctx context.Context, msgs []*message.Message) (rate float64, err error) {
	client, err := s.redis()
	if err != nil {
		return 0, err
	}
	s.later(func() { _ = client.Close() })
	in, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: client}, nil)
	if err != nil {
		return 0, err
	}
	outbox := forwarder.NewPublisher(in, forwarder.PublisherConfig{ForwarderTopic: s.key("outbox")})
	if err := outbox.Publish(s.queue("forwarded"), msgs...); err != nil {
		return 0, err
	}
	subs, err := s.plainFromRedis(1, "forwarder")
	if err != nil {
		return 0, err
	}
	c := s.plainAMQP("quorum")
	c.Publish.ConfirmDelivery, c.Publish.ChannelPoolSize = true, 1
	out, err := wamqp.NewPublisher(c, watermill.NopLogger{})
	if err != nil {
		return 0, err
	}
	defer func() { _ = out.Close() }()
	// The forwarder's publisher does not declare queues.
	if _, err := s.bound("forwarded", "quorum"); err != nil {
		return 0, err
	}
	m := newMeter(len(msgs), len(msgs))
	f, err := forwarder.NewForwarder(subs[0], counted{out, m}, watermill.NopLogger{}, forwarder.Config{ForwarderTopic: s.key("outbox")})
	if err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- f.Run(context.WithoutCancel(ctx)) }()
	rate, err = m.wait(ctx)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if runErr := <-ended; err == nil {
		err = runErr
	}
	return rate, err
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
