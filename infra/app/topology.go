package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// recorded returns what former builds have declared. It waits for Redis until ctx ends.
func (a *App) recorded(ctx context.Context, t router.Topology) ([]router.DeclaredHandler, error) {
	pause := backoff.Backoff{Min: 100 * time.Millisecond, Max: 2 * time.Second}
	for {
		out, err := t.DeclaredHandlers(ctx)
		if err == nil || events.CodeOf(err) != events.CodeUnavailable {
			return out, err
		}
		a.logger.WarnContext(ctx, "what former builds have declared cannot be read, trying again", slog.Any("error", err))
		if !pause.Wait(ctx) {
			return nil, err
		}
	}
}
