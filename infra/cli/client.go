package cli

import (
	"context"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/router"
)

// How long a client waits for its brokers: one on this machine answers at once, or is
// not running. RabbitMQ takes three seconds to reject a password.
const (
	reachTimeout      = 5 * time.Second
	reachLocalTimeout = time.Second
)

// What a client command needs of the running service.
const (
	storeOnly    = false
	withCommands = true
)

// client is the connection with a running service.
type client struct {
	*app.Drivers
	*router.Commands // nil without a transport
}

// reach connects to the brokers of the running service, until the command ends; what is
// connected already is used again. Nothing is logged: errors are the command's own.
func (c *cli) reach(ctx context.Context, commands bool) (*client, error) {
	if c.client != nil && (c.client.Commands != nil || !commands) {
		return c.client, nil
	}
	ctx, cancel := c.reachContext(ctx)
	defer cancel()
	drivers, err := c.Connect(ctx, c.settings, app.Connection{Transport: commands})
	if err != nil {
		return nil, c.unreachable(err)
	}
	c.drivers = append(c.drivers, drivers)
	cl := &client{Drivers: drivers}
	if commands {
		if cl.Commands, err = c.NewCommands(drivers, c.settings, nil); err != nil {
			return nil, err
		}
	}
	c.client = cl
	return cl, nil
}

// reachServices is like reach for commands that the application adds.
func (c *cli) reachServices(ctx context.Context) (app.Services, func() error, error) {
	ctx, cancel := c.reachContext(ctx)
	defer cancel()
	s, closeAll, err := c.ConnectServices(ctx, c.settings)
	return s, closeAll, c.unreachable(err)
}

// reachContext bounds how long brokers are waited for.
func (c *cli) reachContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.settings.String("redis_url") == "" {
		return context.WithTimeout(ctx, reachLocalTimeout)
	}
	return context.WithTimeout(ctx, reachTimeout)
}

// unreachable adds a hint for a user who has configured nothing yet.
func (c *cli) unreachable(err error) error {
	if err == nil {
		return nil
	}
	if e := asError(err); e.Code != events.CodeUnavailable || e.Field != "redis_url" || c.settings.String("redis_url") != "" {
		return err
	}
	return events.Errorf(events.CodeUnavailable, "nobody answers at %s, where a local `%s dev` would be", c.settings.String("dev_redis_addr"), c.Name).MayRetry().
		WithHint("start one with `%s dev`, or set %s to the Redis of a running service", program(), c.Settings.Env("redis_url"))
}
