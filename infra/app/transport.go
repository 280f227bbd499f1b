package app

import (
	"context"
	"errors"
	"slices"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/infra/redis/record"
	"github.com/pitwheel/pitwheel/infra/redis/transports"
)

// transportOf returns what carries messages where RabbitMQ is configured so, or not at all.
func transportOf(broker rabbitmq.Config) transports.Transport {
	if broker.URL == "" {
		return transports.Transport{Kind: transports.RedisStreams}
	}
	return transports.Transport{Kind: transports.RabbitMQ, Address: broker.Address()}
}

// rabbitAddress returns where running services reach RabbitMQ, or what such an address looks
// like.
func rabbitAddress(used []transports.Transport) string {
	for _, u := range used {
		if u.Kind == transports.RabbitMQ {
			return u.Address
		}
	}
	return "host:5672/vhost"
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

// checkTransport returns an error if a client's transport is another one than that of the
// store, or, in a store without a record, of running services. Where there is neither,
// nothing can be said.
//
// The record takes precedence: services that differ from it are refused, so that what they
// have left within the last minute is from before it was changed.
func (d *Definition) checkTransport(ctx context.Context, drivers *Drivers, info record.Info) error {
	if info.Transport != "" && info.Check(drivers.Use) == nil {
		return nil
	}
	used, err := drivers.Store.UsedTransports(ctx)
	switch same := sameKind(drivers.used, used); {
	case err != nil:
		return err
	case info.Transport == drivers.Use.Transport: // Another RabbitMQ, whatever the address.
		return d.mismatch(info.Use.String(), drivers.Use.String(), rabbitAddress(used))
	case info.Transport == transports.RabbitMQ:
		service := info.Use.String()
		if at := slices.IndexFunc(used, func(u transports.Transport) bool { return u.Kind == transports.RabbitMQ }); at >= 0 {
			service = nameOf(used[at])
		}
		return d.mismatch(service, nameOf(drivers.used), rabbitAddress(used))
	case info.Transport == transports.RedisStreams:
		return d.mismatch(info.Use.String(), nameOf(drivers.used), "")
	case len(used) == 0 || same:
		return nil
	}
	return d.mismatch(nameOf(used[0]), nameOf(drivers.used), used[0].Address)
}

// mismatch returns the error for a client whose transport differs from that of the service.
// The address is that of the service's RabbitMQ; empty if it has none.
func (d *Definition) mismatch(service, client, address string) *events.Error {
	setting := d.Settings.Env("amqp_url")
	err := events.Errorf(events.CodeUnhandled, "the service on this Redis uses %s, and this command %s: nobody would receive what it sends", service, client).WithField("amqp_url")
	if address != "" {
		return err.WithHint("set %s to that RabbitMQ, such as amqp://user:password@%s", setting, address)
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
