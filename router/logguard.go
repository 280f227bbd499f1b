package router

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/health"
)

const (
	// logName is the name of the log in [Router.Ready] and [Router.Warnings].
	logName = "log"
	// verifyEvery is how often the log is compared with its witness.
	verifyEvery = 5 * time.Second
	// verifyTimeout bounds one comparison.
	verifyTimeout = 30 * time.Second
)

// logGuard has the log verified again and again, and tells what it has lost.
type logGuard struct {
	log     GuardedLog // nil: the log cannot be verified
	metrics *Metrics
	logger  *slog.Logger
	health  health.Health

	mu   sync.Mutex
	gaps []events.LogGap // that nobody has accepted
}

func newLogGuard(c Config) *logGuard {
	log, _ := c.Reader.(GuardedLog)
	return &logGuard{log: log, metrics: c.Metrics, logger: c.Logger}
}

// epoch returns the number of the log's epoch.
func (g *logGuard) epoch() uint64 {
	if g.log == nil {
		return 0
	}
	return g.log.EpochNumber()
}

// run verifies the log until ctx ends.
func (g *logGuard) run(ctx context.Context) {
	if g.log == nil {
		return
	}
	ticker := time.NewTicker(verifyEvery)
	defer ticker.Stop()
	for {
		g.verify(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (g *logGuard) verify(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	err := g.log.Verify(ctx)
	var all []events.LogGap
	if err == nil {
		all, err = g.log.Gaps(ctx)
	}
	switch {
	case err == nil:
		g.health.OK()
		g.set(ctx, all)
	case ctx.Err() == nil && events.CodeOf(err) != events.CodeUnavailable:
		g.health.Set(err) // A store or a broker that is unavailable says so itself.
	}
}

// set keeps the gaps that nobody has accepted, and warns of them if they have changed.
func (g *logGuard) set(ctx context.Context, all []events.LogGap) {
	var open []events.LogGap
	var lost uint64
	for _, gap := range all {
		if !gap.Accepted {
			open, lost = append(open, gap), lost+gap.Lost()
		}
	}
	g.mu.Lock()
	changed := len(open) != len(g.gaps)
	g.gaps = open
	g.mu.Unlock()
	g.metrics.lost.Set(float64(lost))
	if changed && lost > 0 {
		g.logger.WarnContext(ctx, "events are gone from the log; `log recover` shows which, and accepts that", slog.Uint64("events_gone", lost), slog.Int("gaps", len(open)))
	}
}

// Warnings returns what an operator has to look at, by its name, though everything makes
// progress.
func (r *Router) Warnings() map[string]string {
	r.guard.mu.Lock()
	defer r.guard.mu.Unlock()
	if len(r.guard.gaps) == 0 {
		return nil
	}
	text := ""
	for i, g := range r.guard.gaps {
		if i > 0 {
			text += "; "
		}
		text += fmt.Sprintf("partition %d ended at %d where %d was witnessed: %d events are gone since %s", g.Partition, g.End, g.Witnessed, g.Lost(), g.Since.Format(events.TimeLayout))
	}
	return map[string]string{logName: "it was put back to an earlier state, and goes on behind what is gone: " + text}
}
