package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/record"
	"github.com/pitwheel/pitwheel/infra/redis/transports"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/infra/telemetry"
	"github.com/pitwheel/pitwheel/router"
)

// Drivers are the connections of an application with its brokers.
type Drivers struct {
	// Store is Redis: the log, projections, the inbox and the poison store.
	Store *redis.Store
	// Broker is RabbitMQ; nil if everything travels over Redis Streams.
	Broker *rabbitmq.Broker
	// Transport is Broker, or else Store.
	Transport router.Transport

	// Use is what Transport is, for the record of the store. The broker of a connection
	// without RabbitMQ is empty.
	Use record.Use

	used transports.Transport // what Transport is, with its address
}

// Connection configures [Definition.Connect]. The zero value is for a client that only
// needs the store.
type Connection struct {
	// Server makes a store where there is none and checks what Redis must keep. A client
	// creates nothing.
	Server bool
	// Transport connects to RabbitMQ, too, if there is one.
	Transport bool
	// Unchecked leaves out the comparison with what the store was made for.
	Unchecked bool
	// Adopt has the store belong to these settings from now on, whatever it was made for: it
	// is for a store that nobody else uses.
	Adopt bool
	// Logger logs connections made and lost. Nil: nothing is logged.
	Logger *slog.Logger
	// Registry gets metrics of the connections. Nil: there are none.
	Registry prometheus.Registerer
	// OnConnecting is called with each broker, "redis" or "rabbitmq", as soon as its state
	// is known: ready returns nil while it is connected. Optional.
	OnConnecting func(broker string, ready func() error)
}

// Connect connects to the brokers that the settings name. One that does not answer is
// waited for until ctx ends; the error then has the code UNAVAILABLE. A wrong setting
// is an error with the code CONFIG, at once; so are, for a server, settings that differ from
// what the store was made for. A client that asks for another transport than
// running services use gets an error with the code UNHANDLED: nobody would receive what it
// sends. The field of each is the setting at fault.
func (d *Definition) Connect(ctx context.Context, v settings.Values, c Connection) (_ *Drivers, err error) {
	if c.Logger == nil {
		c.Logger = discard()
	}
	if c.OnConnecting == nil {
		c.OnConnecting = func(string, func() error) {}
	}
	store := redis.Config{URL: RedisURL(v), Namespace: v.String("namespace"), ReadOnly: !c.Server, Publish: v.String("publish"), Logger: c.Logger}
	store.OutcomeTTL, store.InboxTTL = v.Duration("outcome_ttl"), v.Duration("inbox_ttl")
	broker := rabbitmq.Config{URL: v.String("amqp_url"), Namespace: v.String("namespace"), QueueType: v.String("queue_type"), AppID: d.Name, Logger: c.Logger}
	if c.Server {
		store.Partitions, store.Durability = v.Int("partitions"), v.String("durability")
	}
	if c.Registry != nil {
		store.OnState, store.OnBlocked = telemetry.BrokerState(c.Registry, "redis"), telemetry.BrokerBlocked(c.Registry, "redis")
	}
	drivers := &Drivers{}
	defer func() {
		if err != nil {
			err = errors.Join(err, drivers.Close())
		}
	}()

	if drivers.Store, err = redis.Open(ctx, store); err != nil {
		return nil, d.explain(err, "Redis", "redis_url", map[string]string{
			"URL": "redis_url", "Namespace": "namespace", "Partitions": "partitions", "Durability": "durability", "Publish": "publish",
		})
	}
	drivers.Transport = drivers.Store
	drivers.used = transportOf(broker)
	c.OnConnecting("redis", drivers.Store.Ready)
	drivers.Use = record.Use{Transport: drivers.used.Kind, Namespace: broker.Namespace}
	if !c.Transport {
		return drivers, nil
	}
	// Before RabbitMQ is waited for, which may be the wrong one.
	if err := d.checkStore(ctx, drivers, c); err != nil {
		return nil, err
	}
	if broker.URL == "" {
		if err := d.claimStore(ctx, drivers, c); err != nil {
			return nil, err
		}
		return drivers, nil
	}

	if c.Registry != nil {
		broker.OnState, broker.OnBlocked = telemetry.BrokerState(c.Registry, "rabbitmq"), telemetry.BrokerBlocked(c.Registry, "rabbitmq")
	}
	if drivers.Broker, err = rabbitmq.Open(broker); err == nil {
		drivers.Transport = drivers.Broker
		c.OnConnecting("rabbitmq", drivers.Broker.Ready)
		err = awaitBroker(ctx, drivers.Broker)
	}
	if err == nil {
		drivers.Use.Broker, err = drivers.Broker.Identity(ctx)
	}
	if err != nil {
		return nil, d.explain(err, "RabbitMQ", "amqp_url", map[string]string{"URL": "amqp_url", "Namespace": "namespace", "QueueType": "queue_type"})
	}
	if err := d.checkStore(ctx, drivers, c); err != nil {
		return nil, err
	}
	if err := d.claimStore(ctx, drivers, c); err != nil {
		return nil, err
	}
	return drivers, nil
}

// Close ends the connections. Subscribers are drained by the router before.
func (d *Drivers) Close() error {
	if d.Broker != nil {
		_ = d.Broker.Close() // Its subscribers were drained by the router.
	}
	if d.Store != nil {
		return d.Store.Close()
	}
	return nil
}

// explain names the setting behind what is wrong with a broker.
func (d *Definition) explain(err error, broker, setting string, fields map[string]string) error {
	var e *events.Error
	if !errors.As(err, &e) || e.Code != events.CodeUnavailable {
		return d.Settings.Explain(err, fields)
	}
	told := *e
	told.Message, told.Field = err.Error(), setting
	if told.Hint != "" && setting == "amqp_url" {
		return &told // RabbitMQ is connected and says why it accepts nothing, or has yet to answer.
	}
	return told.WithHint("check that %s runs and that %s names it", broker, d.Settings.Env(setting))
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// awaitBroker returns when RabbitMQ is connected, when it refuses the connection
// permanently, or when ctx ends; the error then says why it is not connected.
func awaitBroker(ctx context.Context, b *rabbitmq.Broker) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := b.Ready()
		if err == nil || events.CodeOf(err) == events.CodeConfig {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}
