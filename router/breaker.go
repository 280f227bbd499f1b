package router

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pitwheel/pitwheel/events"
)

// probePause is how long a message waits that is delivered while another one is the
// probe.
const probePause = 100 * time.Millisecond

// guard keeps messages from a handler whose circuit breaker is open: they wait, which
// does not count as an attempt and never ends in poison. From time to time one of them
// is let through as a probe; once a probe succeeds, all are.
func (c *consumer) guard(next stage) stage {
	b := c.breaker
	if b == nil {
		return next
	}
	return func(ctx context.Context, d *delivery) result {
		pause, probe := b.admit(time.Now())
		if pause > 0 {
			return giveBack(pause)
		}
		r := next(ctx, d)
		switch r.action {
		case actionAck:
			b.succeeded()
		case actionFail:
			pause := b.failed(time.Now(), d.attempts == 1, probe)
			switch {
			case pause == 0: // It is closed: the failure counts.
			case r.after > pause:
				return c.postpone(d, r.after, uncounted) // As the handler asks for.
			default:
				return giveBack(pause)
			}
		default:
			b.undecided(probe)
		}
		return r
	}
}

// breaker is the circuit breaker of one handler. It opens after a run of messages whose
// first attempt failed: later attempts say more about their message than about the
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

// newBreaker returns nil, which admits every message, if the policy wants none.
func newBreaker(p *plan, m *Metrics, logger *slog.Logger) *breaker {
	if p.policy.BreakAfter == 0 {
		return nil
	}
	g := m.breaker.WithLabelValues(p.name)
	g.Set(0)
	return &breaker{after: p.policy.BreakAfter, pause: p.policy.BreakPause, gauge: g, logger: logger, name: p.name}
}

// admit returns how long a message has to wait, 0 if it may go on, and whether it goes
// on as a probe.
func (b *breaker) admit(now time.Time) (pause time.Duration, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open:
		return 0, false
	case now.Before(b.probeAt):
		// Spread, so that not always the same message is the probe.
		return b.probeAt.Sub(now) + rand.N(probePause), false //nolint:gosec // Spreading needs no secret randomness.
	case b.probing:
		return probePause, false
	}
	b.probing = true
	return 0, true
}

// failed counts a failure after which another attempt may help. It returns how long the
// message has to wait because the breaker is open; 0 if it is closed.
func (b *breaker) failed(now time.Time, first, probe bool) time.Duration {
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
	b.mu.Lock()
	defer b.mu.Unlock()
	b.run, b.probing = 0, false
	if b.open {
		b.open = false
		b.gauge.Set(0)
		b.logger.Info("breaker closed, a probe succeeded", slog.String("handler", b.name))
	}
}

// undecided ends a probe that says nothing about the handler: its message was at fault,
// or the process is stopping.
func (b *breaker) undecided(probe bool) {
	if !probe {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
}

// err returns why the handler gets no messages; nil if it does. A nil breaker is closed.
func (b *breaker) err() error {
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
