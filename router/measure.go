package router

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// measure counts every message by how it ended, and times it.
func (c *consumer) measure(next message.HandlerFunc) message.HandlerFunc {
	m := c.metrics
	return func(msg *message.Message) ([]*message.Message, error) {
		d := deliveryOf(msg.Context())
		started := time.Now()
		m.inFlight.Inc()
		defer m.inFlight.Dec()
		out, err := next(msg)
		spent := time.Since(started)
		switch d.verdict {
		case verdictHandled:
			m.handled.Inc()
			m.succeeded.Observe(spent.Seconds())
			if at := d.envelope.Timestamp; !at.IsZero() {
				m.age.Observe(max(0, started.Add(spent).Sub(at).Seconds()))
			}
		case verdictDuplicate:
			m.duplicate.Inc()
			m.succeeded.Observe(spent.Seconds())
		case verdictPoisoned:
			m.poisoned.Inc()
			m.failed.Observe(spent.Seconds())
		case verdictRetried:
			m.retried.Inc()
			m.failed.Observe(spent.Seconds())
		case verdictParked:
			m.parked.Inc()
			m.succeeded.Observe(spent.Seconds())
		case verdictAborted, verdictEarly:
			m.failed.Observe(spent.Seconds())
		}
		if err == nil && !d.back {
			m.acked.Inc()
		} else {
			m.nacked.Inc()
		}
		return out, err
	}
}
