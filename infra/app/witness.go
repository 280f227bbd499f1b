package app

import (
	"context"
	"log/slog"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/witness"
	"github.com/pitwheel/pitwheel/router"
)

// noWitness is the value of the setting witness_path for none.
const noWitness = "none"

// witness returns what remembers outside of Redis how far the log was published: RabbitMQ,
// or without it a file; nil if there is none. What cannot be used is logged, and the service
// goes on without: refusing to run would not bring anything back.
func (a *App) witness(ctx context.Context, drivers *Drivers) router.Witness {
	if a.options.Dev {
		return nil // Its Redis ends with it.
	}
	var w router.Witness
	var where string
	if drivers.Broker != nil {
		w, where = drivers.Broker.Witness(), "RabbitMQ"
	} else {
		where = a.values.String("witness_path")
		if where == "" {
			where = witness.DefaultPath(a.def.Name, a.values.String("namespace"), redisAddress(RedisURL(a.values))+"/"+a.values.String("namespace"))
		}
		if where == "" || where == noWitness {
			a.logger.InfoContext(ctx, "nothing outside of Redis remembers how far the log was published; witness_path names a file that does")
			return nil
		}
		w = witness.Open(where, a.logger)
	}
	// A broker that cannot be reached is asked again later.
	if _, err := w.Witnessed(ctx); err != nil && events.CodeOf(err) != events.CodeUnavailable {
		a.logger.ErrorContext(ctx, "the witness of the log cannot be used: a Redis that loses the end of the log while no instance runs is not noticed", slog.String("witness", where), slog.Any("error", err))
		return nil
	}
	return w
}

// redisAddress returns the hosts and the database of a Redis URL, without user and password.
func redisAddress(url string) string {
	return url[strings.LastIndexByte(url, '@')+1:]
}
