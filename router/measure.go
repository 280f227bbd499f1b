package router

import (
	"context"
	"time"
)

// measure counts every message by its outcome, and times it.
func (c *consumer) measure(next stage) stage {
	m := c.metrics
	return func(ctx context.Context, d *delivery) result {
		started := time.Now()
		m.inFlight.Inc()
		defer m.inFlight.Dec()
		c.running.Add(1)
		defer c.running.Add(-1)
		r := next(ctx, d)
		spent := time.Since(started)
		execution := m.failed
		switch r.outcome {
		case outcomeHandled:
			execution = m.succeeded
			m.handled.Inc()
			if at := d.envelope.Timestamp; !at.IsZero() {
				m.age.Observe(max(0, started.Add(spent).Sub(at).Seconds()))
			}
		case outcomeDuplicate:
			execution = m.succeeded
			m.duplicate.Inc()
		case outcomeParked:
			execution = m.succeeded
			m.parked.Inc()
		case outcomePoisoned:
			m.poisoned.Inc()
		case outcomeRetried:
			m.retried.Inc()
		case uncounted:
		}
		execution.Observe(spent.Seconds())
		if r.action == actionAck {
			m.acked.Inc()
		} else {
			m.nacked.Inc()
		}
		return r
	}
}
