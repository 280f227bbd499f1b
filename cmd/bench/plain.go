package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/components/metrics"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
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
func (p plainConsumer) run(ctx context.Context, m *meter) (rate float64, err error) {
	r, err := message.NewRouter(message.RouterConfig{CloseTimeout: 5 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return 0, err
	}
	if !p.bare {
		if err := plainMiddleware(r); err != nil {
			return 0, err
		}
	}
	for i, sub := range p.subscribers {
		r.AddConsumerHandler(fmt.Sprintf("bench-%d", i), p.topic, sub, p.handle)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(context.WithoutCancel(ctx)) }()
	rate, err = m.wait(ctx)
	return rate, errors.Join(err, r.Close(), <-ended)
}

// plainMiddleware adds what Watermill's documentation recommends for production.
func plainMiddleware(r *message.Router) error {
	metrics.NewPrometheusMetricsBuilder(prometheus.NewRegistry(), "", "").AddPrometheusRouterMetrics(r)
	poison, err := middleware.PoisonQueue(noPoison{}, "poison")
	if err != nil {
		return err
	}
	retry := middleware.Retry{MaxRetries: 4, InitialInterval: 100 * time.Millisecond, MaxInterval: 10 * time.Second, Multiplier: 2}
	r.AddMiddleware(middleware.CorrelationID, poison, retry.Middleware, middleware.Recoverer)
	return nil
}

// noPoison is the poison queue of runs in which nothing may be poisoned.
type noPoison struct{}

func (noPoison) Publish(string, ...*message.Message) error {
	return errors.New("a message was poisoned") // Nacked, so that it is missed.
}

func (noPoison) Close() error { return nil }

// plainAMQP is the configuration of watermill-amqp for durable queues, with the
// type of queue and a prefetch that serve it best.
func (s *space) plainAMQP(queueType string) wamqp.Config {
	c := wamqp.NewDurableQueueConfig(s.amqpURL)
	c.Queue.Arguments = amqp.Table{amqp.QueueTypeArg: queueType}
	c.Consume.Qos.PrefetchCount = 256
	return c
}

// plainFromRabbit returns n subscribers of watermill-amqp: one, that subscribes n
// times, as in a program of one process.
func (s *space) plainFromRabbit(n int, queueType string) ([]message.Subscriber, error) {
	sub, err := wamqp.NewSubscriber(s.plainAMQP(queueType), watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	out := make([]message.Subscriber, n)
	for i := range out {
		out[i] = sub
	}
	return out, nil
}

// plainFromRedis returns n subscribers of watermill-redisstream in one group.
func (s *space) plainFromRedis(n int, group string) ([]message.Subscriber, error) {
	out := make([]message.Subscriber, n)
	for i := range out {
		client, err := s.redis()
		if err != nil {
			return nil, err
		}
		// Without the last setting a subscriber that finds nothing does not stop.
		out[i], err = redisstream.NewSubscriber(redisstream.SubscriberConfig{
			Client: client, ConsumerGroup: group, DisableIndefiniteInitialBlock: true,
		}, watermill.NopLogger{})
		if err != nil {
			return nil, err
		}
		s.later(func() { _ = client.Close() })
	}
	return out, nil
}

// plainEntry is an entry of a stream as watermill-redisstream writes it.
func plainEntry(stream string, msg *message.Message) (*redis.XAddArgs, error) {
	values, err := redisstream.DefaultMarshallerUnmarshaller{}.Marshal(stream, msg)
	return &redis.XAddArgs{Stream: stream, Values: values}, err
}
