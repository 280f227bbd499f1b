package cli

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/infra/redisdb"
	"github.com/pitwheel/pitwheel/router"
)

// How long a command that talks to a running service looks for its brokers: one
// on this machine answers at once, or is not there. RabbitMQ takes three seconds to
// say that a password is wrong.
const (
	reachTimeout      = 5 * time.Second
	reachLocalTimeout = time.Second
)

// What a command needs of the running service.
const (
	storeOnly    = false
	withCommands = true
)

// client is the way to a running service.
type client struct {
	store    *redisdb.Store
	broker   *rabbitmq.Broker // nil without RabbitMQ
	commands *router.Commands
}

// reach connects to the brokers of the running service.
func (c *cli) reach(ctx context.Context, commands bool) (*client, error) {
	logger := slog.New(slog.DiscardHandler) // What goes wrong is the command's error.
	timeout := reachTimeout
	if c.settings.RedisURL == "" {
		timeout = reachLocalTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	store, err := redisdb.Open(ctx, redisdb.Config{URL: c.settings.redisURL(), Namespace: c.settings.Namespace, Guest: true, Logger: logger})
	if err != nil {
		return nil, c.unreachable(err)
	}
	cl := &client{store: store}
	if !commands {
		return cl, nil
	}
	var publisher message.Publisher
	if c.settings.AMQPURL == "" {
		publisher = store.Publisher()
	} else {
		if cl.broker, err = rabbitmq.Open(rabbitmq.Config{
			URL: c.settings.AMQPURL, Namespace: c.settings.Namespace, QueueType: c.settings.QueueType, Logger: logger,
		}); err == nil {
			err = awaitBroker(ctx, cl.broker)
		}
		if err != nil {
			cl.Close()
			return nil, hinted(err, "check that RabbitMQ runs and that PITWHEEL_AMQP_URL names it")
		}
		publisher = cl.broker.Publisher()
	}
	if cl.commands, err = router.NewCommands(router.CommandsConfig{Catalogue: c.catalogue, Publisher: publisher, Log: store, MaxBytes: c.settings.MaxBytes}); err != nil {
		cl.Close()
		return nil, err
	}
	return cl, nil
}

// Close ends the connections.
func (c *client) Close() {
	if c.broker != nil {
		_ = c.broker.Close() // There is nobody to tell: the command has its answer.
	}
	_ = c.store.Close()
}

// unreachable tells someone who has set nothing up how to begin.
func (c *cli) unreachable(err error) error {
	if c.settings.RedisURL == "" && events.CodeOf(err) == events.CodeUnavailable {
		return events.Errorf(events.CodeUnavailable, "nobody answers at %s, where a local `pitwheel dev` would be", c.settings.DevRedisAddr).MayRetry().
			WithHint("start one with `%s dev`, or set PITWHEEL_REDIS_URL to the Redis of a running service", program())
	}
	return err
}

// hinted adds a hint to an error that has none.
func hinted(err error, hint string) error {
	if e := asError(err); e.Hint == "" {
		return e.WithHint("%s", hint)
	}
	return err
}

// awaitBroker returns when RabbitMQ is there, when it refuses us for good, or
// when ctx ends; the error then says why it is not there.
func awaitBroker(ctx context.Context, b *rabbitmq.Broker) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := b.Ready()
		if err == nil {
			return nil
		}
		if events.CodeOf(err) == events.CodeConfig {
			return asError(err).WithHint("check user, password and vhost in PITWHEEL_AMQP_URL")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}
