package router

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pitwheel/pitwheel/events"
)

// probePause is how long a message rests that comes while another one probes.
const probePause = 100 * time.Millisecond

// guard keeps messages from a handler whose breaker is open: they rest, which is
// no attempt and never ends in poison. From time to time one of them goes through
// as a probe; when one succeeds, all may.
func (c *consumer) guard(next message.HandlerFunc) message.HandlerFunc {
	if c.breaker == nil {
		return next
	}
	return func(msg *message.Message) ([]*message.Message, error) {
		d := deliveryOf(msg.Context())
		if d.unreadable != nil {
			return next(msg) // It never reaches the handler, and so says nothing of it.
		}
		pause, probe := c.breaker.admit(time.Now())
		if pause > 0 {
			d.giveBack(msg, pause)
			return nil, nil
		}
		d.probe = probe
		return next(msg)
	}
}

// breaker watches over one handler. It opens after a run of messages whose first
// attempt failed: later attempts say more about their message than about the
// handler. While it is open no failure counts as an attempt.
type breaker struct {
	after  int
	pause  time.Duration
	gauge  prometheus.Gauge
	logger *slog.Logger
	name   string

	mu      sync.Mutex
	run     int
	open    bool
	since   time.Time
	probeAt time.Time
	probing bool
}

// newBreaker returns nil, which lets everything through, if the policy wants none.
func newBreaker(p *plan, m *Metrics, logger *slog.Logger) *breaker {
	if p.policy.BreakAfter == 0 {
		return nil
	}
	g := m.breaker.WithLabelValues(p.name)
	g.Set(0)
	return &breaker{after: p.policy.BreakAfter, pause: p.policy.BreakPause, gauge: g, logger: logger, name: p.name}
}

// admit tells how long a message has to rest, 0 if it may go on, and whether it
// goes on as a probe.
func (b *breaker) admit(now time.Time) (pause time.Duration, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open:
		return 0, false
	case now.Before(b.probeAt):
		// Spread, so that not always the same message comes first.
		return b.probeAt.Sub(now) + rand.N(probePause), false //nolint:gosec // Spreading needs no secret randomness.
	case b.probing:
		return probePause, false
	}
	b.probing = true
	return 0, true
}

// failed counts a failure that may pass, and tells how long its message has to
// rest because the breaker is open; 0 if it is not.
func (b *breaker) failed(now time.Time, first, probe bool) time.Duration {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case probe:
		b.probing, b.probeAt = false, now.Add(b.pause)
	case !b.open && first:
		if b.run++; b.run >= b.after {
			b.open, b.since, b.probeAt = true, now, now.Add(b.pause)
			b.gauge.Set(1)
			b.logger.Warn("breaker opened, the handler gets no messages until a probe succeeds",
				slog.String("handler", b.name), slog.Int("failures", b.run), slog.Duration("probe_in", b.pause))
		}
	}
	if !b.open {
		return 0
	}
	return max(b.probeAt.Sub(now), probePause)
}

// succeeded closes the breaker.
func (b *breaker) succeeded() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.run, b.probing = 0, false
	if b.open {
		b.open = false
		b.gauge.Set(0)
		b.logger.Info("breaker closed, a probe succeeded", slog.String("handler", b.name))
	}
}

// undecided gives a probe's place back that has ended without telling anything of
// the handler: its message was at fault, or the process is stopping.
func (b *breaker) undecided(probe bool) {
	if b == nil || !probe {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
}

// ailing is why the handler gets no messages; nil if it does.
func (b *breaker) ailing() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return nil
	}
	return &events.Error{Code: events.CodeUnavailable, Retryable: true,
		Message: fmt.Sprintf("its breaker is open since %s, after %d failures in a row; a probe follows every %s", b.since.UTC().Format(events.TimeLayout), b.run, b.pause)}
}
