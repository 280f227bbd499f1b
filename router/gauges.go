package router

import (
	"context"
	"time"

	"github.com/pitwheel/pitwheel/router/internal/relay"
)

// sampleGauges updates the metrics that only the store knows, every two seconds: the lag
// of relay and projections, and the numbers of poison and of parked messages.
func (r *Router) sampleGauges(ctx context.Context) {
	ticker := time.NewTicker(2 * time.Second)
	defer ticker.Stop()
	for {
		r.countPoison(ctx)
		r.countParked(ctx)
		r.sampleLedger(ctx)
		if end, err := r.config.Reader.End(ctx); err == nil {
			if at, err := r.config.Checkpoints.Checkpoint(ctx, relay.Role); err == nil {
				r.config.Metrics.relayLag.Set(float64(at.Behind(end)))
			}
			for _, p := range r.projectors {
				if at, err := r.config.Projections.ProjectionCursor(ctx, p.name); err == nil {
					r.config.Metrics.viewLag.WithLabelValues(p.name).Set(float64(at.Behind(end)))
				}
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// countPoison shows how many poison messages each handler has. Handlers of other
// applications on the same store are left out.
func (r *Router) countPoison(ctx context.Context) {
	if len(r.collectors) == 0 {
		return
	}
	counts, err := r.config.Poison.CountPoison(ctx)
	if err != nil {
		return // It is sampled again soon.
	}
	for _, k := range r.collectors {
		r.config.Metrics.poison.WithLabelValues(k.plan.name).Set(float64(counts[k.plan.name]))
	}
}

// countParked shows how many messages wait behind failed ones.
func (r *Router) countParked(ctx context.Context) {
	for _, c := range r.consumers {
		if c.plan.blocked == nil {
			continue
		}
		if keys, messages, err := c.parking.CountParked(ctx, c.plan.name); err == nil {
			r.config.Metrics.blocked.WithLabelValues(c.plan.name).Set(float64(keys))
			r.config.Metrics.parked.WithLabelValues(c.plan.name).Set(float64(messages))
		}
	}
}
