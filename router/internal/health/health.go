// Package health runs background roles, such as the relay, and remembers the last
// error of each for readiness checks.
package health

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	firstPause = 50 * time.Millisecond
	maxPause   = 5 * time.Second
)

// Health is the health of one background role: its last error, nil while it makes
// progress. The zero value is healthy. It is safe for concurrent use.
type Health struct {
	mu       sync.Mutex
	err      error
	failures int // since the role last made progress
}

// Err returns why the role makes no progress; nil if it does.
func (h *Health) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// OK reports progress: earlier failures no longer count.
func (h *Health) OK() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err, h.failures = nil, 0
}

// Set stores err as the last error, and reports whether it differs from the one before.
func (h *Health) Set(err error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed = (err == nil) != (h.err == nil) || err != nil && err.Error() != h.err.Error()
	h.err = err
	return changed
}

// fail counts a failure, and returns how many there were since the last progress.
func (h *Health) fail() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures++
	return h.failures
}

// Run calls f until ctx ends. After each return it pauses; the pause grows from 50 ms
// to 5 s until f reports progress with [Health.OK]. An error is logged when it differs
// from the last one.
func (h *Health) Run(ctx context.Context, logger *slog.Logger, role string, f func(context.Context) error) {
	for ctx.Err() == nil {
		err := f(ctx)
		if ctx.Err() != nil {
			break
		}
		failures := h.fail()
		if h.Set(err) && err != nil {
			logger.WarnContext(ctx, "background role failed, trying again", slog.String("role", role), slog.Any("error", err))
		}
		backoff.Wait(ctx, backoff.After(firstPause, maxPause, failures))
	}
	h.OK() // A role that was stopped is not unhealthy: another instance has it.
}
