package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// stopMargin is how long after drain_timeout a run ends at the latest.
	stopMargin = 900 * time.Millisecond
	// requestPatience is how long after the beginning of a stop requests may wait for the
	// outcome of their command, if the drain takes no longer.
	requestPatience = 4 * time.Second
)

// bounded runs f, and ends before it does if a stop takes longer than drain_timeout allows:
// a broker that does not answer must not keep a process until it is killed.
func (a *App) bounded(ctx context.Context, f func(context.Context) error) error {
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(a.drainTimeout() + stopMargin)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		return events.Errorf(events.CodeTimeout, "the stop did not end within drain_timeout, %s; what was under way is delivered again: %w", a.drainTimeout(), context.DeadlineExceeded)
	}
}

// webStop stops HTTP when the drain is over: until then, health and metrics show how it goes.
type webStop struct {
	serving, patience       context.Context //nolint:containedctx // They are those of httpapi.Serve.
	endServing, endPatience context.CancelFunc
	timeout                 time.Duration
	stopped                 func() (time.Duration, bool)
	ended                   chan struct{} // closed when HTTP is not served any more
	once                    sync.Once
}

// newWebStop prepares for a stop that begins when ctx ends, and may take as long as timeout.
func newWebStop(ctx context.Context, timeout time.Duration) *webStop {
	w := &webStop{timeout: timeout, stopped: stopwatch(ctx), ended: make(chan struct{})}
	w.serving, w.endServing = context.WithCancel(context.WithoutCancel(ctx))
	w.patience, w.endPatience = context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(timeout, w.endPatience) })
	return w
}

// stop returns when HTTP has answered the last request. It may be called again.
func (w *webStop) stop() {
	w.once.Do(func() {
		took, _ := w.stopped()
		w.endServing()
		defer time.AfterFunc(min(requestPatience, w.timeout)-took, w.endPatience).Stop()
		<-w.ended
	})
}

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
