package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/infra/redis/transports"
)

// transportOf returns what carries messages where RabbitMQ is configured so, or not at all.
func transportOf(broker rabbitmq.Config) transports.Transport {
	if broker.URL == "" {
		return transports.Transport{Kind: transports.RedisStreams}
	}
	return transports.Transport{Kind: transports.RabbitMQ, Address: broker.Address()}
}

// nameOf returns a transport in words.
func nameOf(t transports.Transport) string {
	if t.Kind == transports.RabbitMQ {
		return "RabbitMQ at " + t.Address
	}
	return "Redis Streams"
}

// sameKind reports whether one of some transports is of the same kind as t. The address of
// a RabbitMQ is not compared: from elsewhere it may have another name.
func sameKind(t transports.Transport, used []transports.Transport) bool {
	return slices.ContainsFunc(used, func(u transports.Transport) bool { return u.Kind == t.Kind })
}

// checkTransport returns an error if running services use transports of another kind than
// a client does. Where none has run lately, nothing can be said.
func (d *Definition) checkTransport(ctx context.Context, drivers *Drivers) error {
	used, err := drivers.Store.UsedTransports(ctx)
	if err != nil || len(used) == 0 || sameKind(drivers.used, used) {
		return err
	}
	return d.mismatch(used[0], drivers.used)
}

// mismatch returns the error for a client whose transport differs from that of the service.
func (d *Definition) mismatch(service, client transports.Transport) *events.Error {
	setting := d.Settings.Env("amqp_url")
	err := events.Errorf(events.CodeUnhandled, "the service on this Redis uses %s, and this command %s: nobody would receive what it sends", nameOf(service), nameOf(client)).WithField("amqp_url")
	if service.Kind == transports.RabbitMQ {
		return err.WithHint("set %s to that RabbitMQ, such as amqp://user:password@%s", setting, service.Address)
	}
	return err.WithHint("leave %s out", setting)
}

// ExplainUnhandled adds to an error with the code UNHANDLED, of a client, what is known
// about running services. It returns all other errors as they are.
func (d *Definition) ExplainUnhandled(ctx context.Context, drivers *Drivers, err error) error {
	var e *events.Error
	if !errors.As(err, &e) || e.Code != events.CodeUnhandled {
		return err
	}
	used, lookup := drivers.Store.UsedTransports(ctx)
	if lookup != nil {
		return err // That is enough to report.
	}
	told := *e
	told.Message = err.Error()
	if len(used) == 0 {
		return told.WithHint("no service runs on this Redis, or it has just been started; start one with `%s serve`, and check that both use the same %s and %s",
			d.Name, d.Settings.Env("namespace"), d.Settings.Env("amqp_url"))
	}
	for _, u := range used {
		if u.Kind == drivers.used.Kind && u.Address != drivers.used.Address {
			return told.WithHint("the service on this Redis uses %s, and this command %s: unless these are the same, set %s to that of the service", nameOf(u), nameOf(drivers.used), d.Settings.Env("amqp_url"))
		}
	}
	return told.WithHint("the running service has declared no queue for it: `%s handler list` shows its handlers; the build that runs may be an older one, or may have just been started", d.Name)
}

// recordTransport lets clients know the transport of this service until ctx ends.
func (a *App) recordTransport(ctx context.Context, drivers *Drivers) {
	if used, err := drivers.Store.UsedTransports(ctx); err == nil && len(used) > 0 && !sameKind(drivers.used, used) {
		a.logger.WarnContext(ctx, "within the last minute an instance has used another transport: messages that wait there are not handled here, and instances of one namespace must use the same",
			slog.String("there", nameOf(used[0])), slog.String("here", nameOf(drivers.used)))
	}
	ticker := time.NewTicker(transports.Interval)
	defer ticker.Stop()
	for {
		if err := drivers.Store.RecordTransport(ctx, drivers.used); err != nil && ctx.Err() == nil {
			a.logger.DebugContext(ctx, "transport not recorded, clients cannot compare theirs", slog.Any("error", err))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
