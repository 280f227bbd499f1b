package router

import (
	"context"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
)

// undrained keeps Watermill's router from closing a subscriber while it drains:
// the router would cancel what is running.
type undrained struct{ Subscriber }

// Close does nothing; Run closes the subscriber after the drain.
func (undrained) Close() error { return nil }

// noMessages adapts the end of the pipeline, which never returns messages: facts
// leave only through the log.
func noMessages(f message.HandlerFunc) message.NoPublishHandlerFunc {
	return func(msg *message.Message) error {
		_, err := f(msg)
		return err
	}
}

// quietWhile silences what Watermill's router reports as errors once ctx has
// ended: subscriptions that end in a drain are no failure.
func quietWhile(ctx context.Context, logger watermill.LoggerAdapter) watermill.LoggerAdapter {
	return drainLogger{logger, ctx}
}

type drainLogger struct {
	watermill.LoggerAdapter
	serving context.Context //nolint:containedctx // Only asked whether the drain has begun.
}

func (l drainLogger) Error(msg string, err error, fields watermill.LogFields) {
	if l.serving.Err() != nil {
		l.Debug(msg, fields)
		return
	}
	l.LoggerAdapter.Error(msg, err, fields)
}

func (l drainLogger) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return drainLogger{l.LoggerAdapter.With(fields), l.serving}
}
