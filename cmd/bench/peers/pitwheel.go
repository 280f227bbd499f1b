package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/backoff"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

const (
	pitwheelTopic   = "user.events"
	pitwheelHandler = "bench"
	pitwheelBatch   = 256 // messages of one call of Publish
)

// pitwheelQueue is a namespace of Pitwheel's, with the queue of one handler.
type pitwheelQueue struct {
	namespace string
	at        addresses
	store     *redis.Store
	broker    *rabbitmq.Broker // nil on Redis Streams
	transport router.Transport
	messages  []*message.Message
}

func openPitwheelOnRedis(ctx context.Context, at addresses, name string, load []event) (queue, error) {
	q, err := openStore(ctx, at, name, load)
	if err != nil {
		return nil, err
	}
	return q, q.declare(ctx)
}

func openPitwheelOnRabbit(ctx context.Context, at addresses, name string, load []event) (queue, error) {
	// The driver waits for a broker that does not answer.
	conn, err := amqp.DialConfig(at.amqp, amqp.Config{Dial: amqp.DefaultDial(3 * time.Second)})
	if err != nil {
		return nil, missingError{"RabbitMQ", "PITWHEEL_AMQP_URL"}
	}
	_ = conn.Close()
	q, err := openStore(ctx, at, name, load)
	if err != nil {
		return nil, err
	}
	if q.broker, err = rabbitmq.Open(rabbitmq.Config{URL: at.amqp, Namespace: name}); err != nil {
		return q, err
	}
	q.transport = q.broker
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for q.broker.Ready() != nil {
		if !backoff.Wait(ctx, 5*time.Millisecond) {
			return q, q.broker.Ready()
		}
	}
	return q, q.declare(ctx)
}

func openStore(ctx context.Context, at addresses, name string, load []event) (*pitwheelQueue, error) {
	if err := pingRedis(ctx, at.redis); err != nil {
		return nil, err
	}
	store, err := redis.Open(ctx, redis.Config{URL: at.redis, Namespace: name})
	if err != nil {
		return nil, err
	}
	q := &pitwheelQueue{namespace: name, at: at, store: store, transport: store}
	for _, e := range load {
		msg := message.NewMessage(e.ID, e.body)
		msg.Metadata = message.Metadata{
			events.MetaType: e.Type, events.MetaTimestamp: e.Timestamp.Format(events.TimeLayout),
			events.MetaAggregate: e.Aggregate, events.MetaAggregateID: e.AggregateID,
			events.MetaVersion:       strconv.FormatUint(e.Version, 10),
			events.MetaCorrelationID: e.CorrelationID, events.MetaCausationID: e.CausationID,
			events.MetaSchemaVersion: strconv.Itoa(e.SchemaVersion),
		}
		q.messages = append(q.messages, msg)
	}
	return q, nil
}

// declare makes the handler's queue, so that it gets what is published from now on.
func (q *pitwheelQueue) declare(ctx context.Context) error {
	sub, err := q.transport.Subscriber(router.Subscription{
		Handler: pitwheelHandler, Topic: pitwheelTopic, Types: []string{sample.Created{}.EventType()}, Queue: pitwheelHandler, Concurrency: 1,
	})
	if err != nil {
		return err
	}
	return errors.Join(sub.Declare(ctx), sub.Close())
}

func (q *pitwheelQueue) publish(ctx context.Context) error {
	for batch := range slices.Chunk(q.messages, pitwheelBatch) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := q.transport.Publisher().Publish(pitwheelTopic, batch...); err != nil {
			return err
		}
	}
	return nil
}

// consume runs a router as an application does, with metrics, inbox and all middleware.
func (q *pitwheelQueue) consume(ctx context.Context, handle func(string)) (func() error, error) {
	metrics, err := router.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	r, err := router.New(router.Config{
		Catalogue: sample.Catalogue(),
		Handlers: []router.Handler{router.On(pitwheelHandler, func(_ context.Context, e router.Event[sample.Created]) error {
			handle(e.ID)
			return nil
		})},
		Transport: q.transport, Log: q.store, Reader: q.store, Checkpoints: q.store, Projections: q.store, Inbox: q.store, Parking: q.store,
		Elector: q.store, Poison: q.store, Metrics: metrics,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}, nil
}

func (q *pitwheelQueue) remove(ctx context.Context) error {
	var errs []error
	if q.broker != nil {
		_ = q.broker.Close() // Its subscribers were drained by the router.
		errs = append(errs, q.removeFromRabbit())
	}
	return errors.Join(append(errs, q.store.Close(), removeKeys(ctx, q.at.redis, q.namespace+":*"))...)
}

func (q *pitwheelQueue) removeFromRabbit() error {
	conn, err := amqp.Dial(q.at.amqp)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	name := q.namespace + "."
	for _, queue := range []string{pitwheelHandler, pitwheelHandler + ".poison"} {
		if _, err := ch.QueueDelete(name+queue, false, false, false); err != nil {
			return err
		}
	}
	return ch.ExchangeDelete(name+pitwheelTopic, false, false)
}
