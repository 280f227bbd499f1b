package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/record"
	"github.com/pitwheel/pitwheel/infra/redis/transports"
)

// checkStore compares what drivers use with what the store was made for, as far as both are
// known.
func (d *Definition) checkStore(ctx context.Context, drivers *Drivers, c Connection) error {
	if c.Unchecked || c.Adopt {
		return nil
	}
	info, err := drivers.Store.StoreInfo(ctx)
	if err != nil {
		return err
	}
	if c.Server {
		return d.explainRecord(info.Check(drivers.Use))
	}
	return d.checkTransport(ctx, drivers, info)
}

// claimStore has the store belong to what a server's drivers use.
func (d *Definition) claimStore(ctx context.Context, drivers *Drivers, c Connection) error {
	if !c.Server || c.Unchecked {
		return nil
	}
	_, err := drivers.Store.ClaimStore(ctx, drivers.Use)
	if c.Adopt && record.IsMismatch(err) {
		var before record.Info
		if before, err = drivers.Store.AdoptStore(ctx, drivers.Use); err == nil {
			c.Logger.WarnContext(ctx, "the data was made for another transport: what waits there is not handled here",
				slog.String("there", before.Use.String()), slog.String("here", drivers.Use.String()))
			_, err = drivers.Store.ClaimStore(ctx, drivers.Use)
		}
	}
	return d.explainRecord(err)
}

// explainRecord names the setting that differs from the record of the store, and how to
// change the record. Other errors are returned as they are.
func (d *Definition) explainRecord(err error) error {
	differs := record.IsMismatch(err)
	err = d.Settings.Explain(err, map[string]string{
		"Transport": "amqp_url", "Broker": "amqp_url", "Namespace": "namespace", "Partitions": "partitions", "URL": "redis_url",
	})
	var e *events.Error
	if differs && errors.As(err, &e) && e.Hint == "" {
		return e.WithHint("use what the store was made for; to change that on purpose, stop all instances, and run `%s store adopt` with the new settings: it says what stays behind", d.Name)
	}
	return err
}

// keepRecord records until ctx ends what this service uses: for clients, and because a store
// that was emptied has lost its record. It returns an error if the record names something
// else, or RabbitMQ has become another one: then this instance must not go on.
func (a *App) keepRecord(ctx context.Context, drivers *Drivers) error {
	ticker := time.NewTicker(transports.Interval)
	defer ticker.Stop()
	for {
		use := drivers.Use
		if drivers.Broker != nil {
			now, stop := context.WithTimeout(ctx, transports.Interval)
			use.Broker, _ = drivers.Broker.Identity(now) // While there is no connection, it is not compared.
			stop()
		}
		_, err := drivers.Store.ClaimStore(ctx, use)
		if record.IsMismatch(err) {
			return a.def.explainRecord(err)
		}
		if err == nil {
			err = drivers.Store.RecordTransport(ctx, drivers.used)
		}
		if err != nil && ctx.Err() == nil {
			a.logger.DebugContext(ctx, "the use of the store is not recorded", slog.Any("error", err))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
