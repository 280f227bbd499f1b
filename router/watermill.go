package router

import (
	"context"

	"github.com/ThreeDotsLabs/watermill"
)

// undrained keeps Watermill's router from closing a subscriber while it drains, which
// would cancel running handlers.
type undrained struct{ Subscriber }

// Close does nothing; Run closes the subscriber after the drain.
func (undrained) Close() error { return nil }

// quietAfter logs the errors of Watermill's router as debug lines once ctx has ended:
// subscriptions that end in a drain are not failures.
func quietAfter(ctx context.Context, logger watermill.LoggerAdapter) watermill.LoggerAdapter {
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
