package rabbitmq

import (
	"context"
	"errors"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// alarmEvery is how often a connection asks for the broker's alarms.
const alarmEvery = 3 * time.Second

// askForAlarms makes the broker tell the connection of its alarms: RabbitMQ sends
// connection.blocked only to connections that publish while there is one. So an empty message
// is published at once and then every few seconds, into a queue that does not exist; the
// broker drops it. The channel is its own, as a user may lack the right to do so.
//
// It returns when ctx ends or the connection is closed.
func (l *link) askForAlarms(ctx context.Context, conn *amqp.Connection, log *slog.Logger) {
	ch, err := conn.Channel()
	if err != nil {
		return // The connection is closed.
	}
	defer func() { _ = ch.Close() }() // It may be closed already.
	refused := ch.NotifyClose(make(chan *amqp.Error, 1))
	tick := time.NewTicker(alarmEvery)
	defer tick.Stop()
	for {
		// A broker that blocks does not read, and tells when it does again.
		if !l.blocks.Load() {
			err := ch.PublishWithContext(ctx, "", l.cfg.qualify("pitwheel.alarms"), false, false, amqp.Publishing{})
			if err != nil && !errors.Is(err, amqp.ErrClosed) {
				return
			}
		}
		select {
		case <-tick.C:
		case err := <-refused:
			if err != nil && !conn.IsClosed() {
				log.Warn("RabbitMQ tells of its alarms only once something is published, as the user may not write to the default exchange", slog.Any("error", err))
			}
			return
		case <-ctx.Done():
			return
		}
	}
}
