package router

import (
	"context"
	"time"
)

// sampleGauges keeps in the metrics what only the store can tell: the lag of relay and
// projections, and the numbers of letters and of parked messages.
func (r *Router) sampleGauges(ctx context.Context) {
	ticker := time.NewTicker(2 * time.Second)
	defer ticker.Stop()
	for {
		r.countLetters(ctx)
		r.countParked(ctx)
		if end, err := r.config.Reader.End(ctx); err == nil {
			if at, err := r.config.Checkpoints.Checkpoint(ctx, relayRole); err == nil {
				r.metrics.relayLag.Set(float64(at.Behind(end)))
			}
			for _, p := range r.projectors {
				if at, err := r.config.Projections.ProjectionCursor(ctx, p.plan.name); err == nil {
					r.metrics.viewLag.WithLabelValues(p.plan.name).Set(float64(at.Behind(end)))
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

// countLetters shows how many letters each handler has. Handlers of other
// applications on the same store are not ours to show.
func (r *Router) countLetters(ctx context.Context) {
	if len(r.keepers) == 0 {
		return
	}
	counts, err := r.config.Poison.CountPoison(ctx)
	if err != nil {
		return // The next round is soon.
	}
	for _, k := range r.keepers {
		r.metrics.letters.WithLabelValues(k.plan.name).Set(float64(counts[k.plan.name]))
	}
}

// countParked shows what waits behind failed messages.
func (r *Router) countParked(ctx context.Context) {
	for _, c := range r.consumers {
		if c.parking == nil || !c.plan.policy.Ordered {
			continue
		}
		if keys, messages, err := c.parking.CountParked(ctx, c.plan.name); err == nil {
			r.metrics.blocked.WithLabelValues(c.plan.name).Set(float64(keys))
			r.metrics.parked.WithLabelValues(c.plan.name).Set(float64(messages))
		}
	}
}
