package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/components/metrics"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
)

// plainConsumer is what a user of Watermill would write today: a router with
// metrics, correlation, poison, retry and recoverer, and a handler for each of a
// number of subscribers.
type plainConsumer struct {
	subscribers []message.Subscriber
	topic       string
	handle      func(*message.Message) error
	bare        bool // without any middleware
}

// run consumes until the meter is done.
func (p plainConsumer) run(ctx context.Context, m *meter) (rate float64) {
	r := get(message.NewRouter(message.RouterConfig{CloseTimeout: 5 * time.Second}, watermill.NopLogger{}))
	if !p.bare {
		plainMiddleware(r)
	}
	for i, sub := range p.subscribers {
		r.AddConsumerHandler(fmt.Sprintf("bench-%d", i), p.topic, sub, p.handle)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(context.WithoutCancel(ctx)) }()
	err := catch(func() { rate = m.wait(ctx) })
	check(errors.Join(err, r.Close(), <-ended))
	return rate
}

// plainMiddleware adds what Watermill's documentation recommends for production.
func plainMiddleware(r *message.Router) {
	metrics.NewPrometheusMetricsBuilder(prometheus.NewRegistry(), "", "").AddPrometheusRouterMetrics(r)
	poison := get(middleware.PoisonQueue(noPoison(), "poison"))
	retry := middleware.Retry{MaxRetries: 4, InitialInterval: 100 * time.Millisecond, MaxInterval: 10 * time.Second, Multiplier: 2}
	r.AddMiddleware(middleware.CorrelationID, poison, retry.Middleware, middleware.Recoverer)
}

// sink is a publisher that drops everything, or fails.
type sink struct{ err error }

func (s sink) Publish(string, ...*message.Message) error { return s.err }

func (sink) Close() error { return nil }

// noPoison is the poison queue of runs in which nothing may be poisoned: the message is
// nacked, so that it is missed.
func noPoison() sink { return sink{errors.New("a message was poisoned")} }

// plainAMQP is the configuration of watermill-amqp for durable queues, with the
// type of queue and a prefetch that serve it best.
func (s *space) plainAMQP(queueType string) wamqp.Config {
	c := wamqp.NewDurableQueueConfig(s.amqpURL)
	c.Queue.Arguments = amqp.Table{amqp.QueueTypeArg: queueType}
	c.Consume.Qos.PrefetchCount = 256
	return c
}

// plainPublisher is a publisher of watermill-amqp that waits for confirms. Several
// goroutines share a pool of as many channels.
func (s *space) plainPublisher(queueType string, pool int) *wamqp.Publisher {
	c := s.plainAMQP(queueType)
	c.Publish.ConfirmDelivery, c.Publish.ChannelPoolSize = true, pool
	return get(wamqp.NewPublisher(c, watermill.NopLogger{}))
}

// plainFrom returns n subscribers that share a queue or stream: one of watermill-amqp that
// subscribes n times, as in a program of one process, or n of watermill-redisstream in one
// group.
func (s *space) plainFrom(carrier broker, queueType string, n int) []message.Subscriber {
	if carrier == rabbitMQ {
		var sub message.Subscriber = get(wamqp.NewSubscriber(s.plainAMQP(queueType), watermill.NopLogger{}))
		return slices.Repeat([]message.Subscriber{sub}, n)
	}
	out := make([]message.Subscriber, n)
	for i := range out {
		client := get(s.redis())
		s.later(func() { _ = client.Close() })
		// Without the last setting a subscriber that finds nothing does not stop.
		out[i] = get(redisstream.NewSubscriber(redisstream.SubscriberConfig{
			Client: client, ConsumerGroup: "plain", DisableIndefiniteInitialBlock: true,
		}, watermill.NopLogger{}))
	}
	return out
}
