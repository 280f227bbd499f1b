package app

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"
)

const (
	// firstWaiting is how long a start may take before the log says what it waits for, and
	// nextWaiting how often it does so from then on.
	firstWaiting = 10 * time.Second
	nextWaiting  = 30 * time.Second
)

// logWaiting logs what the start waits for, and why, until every handler is consuming or ctx
// ends: /readyz says so, too, but nobody may be looking.
func (a *App) logWaiting(ctx context.Context) {
	timer := time.NewTimer(firstWaiting)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			timer.Reset(nextWaiting)
		case <-a.running:
			return
		case <-ctx.Done():
			return
		}
		waiting := a.proxy.Ready()
		var causes []any
		for _, name := range slices.Sorted(maps.Keys(waiting)) {
			causes = append(causes, slog.Any(name, waiting[name]))
		}
		a.logger.WarnContext(ctx, "still starting, not every handler is consuming", slog.Group("waiting_for", causes...))
	}
}
