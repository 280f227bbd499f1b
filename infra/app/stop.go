package app

import (
	"context"
	"log/slog"
	"time"
)

// stopwatch returns a function, to be called once, that reports whether ctx has ended, and
// how long ago.
func stopwatch(ctx context.Context) func() (time.Duration, bool) {
	began := make(chan time.Time, 1)
	cancel := context.AfterFunc(ctx, func() { began <- time.Now() })
	return func() (time.Duration, bool) {
		if cancel() {
			return 0, false
		}
		return time.Since(<-began), true
	}
}

// logStopped logs how a stop has gone. A run that ends without being stopped has failed,
// and its error says why.
func (a *App) logStopped(stopped func() (time.Duration, bool), err error) {
	took, ok := stopped()
	if !ok {
		return
	}
	level, attrs := slog.LevelInfo, []slog.Attr{slog.Bool("drained", err == nil), slog.Duration("took", took.Round(time.Millisecond))}
	if err != nil {
		level, attrs = slog.LevelWarn, append(attrs, slog.Any("error", err))
	}
	a.logger.LogAttrs(context.Background(), level, "stopped", attrs...)
}
