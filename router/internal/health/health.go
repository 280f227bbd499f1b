// Package health runs background roles, such as the relay, and remembers for readiness
// checks what is wrong with each.
package health

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	firstPause = 50 * time.Millisecond
	maxPause   = 5 * time.Second
	// giveUpAfter is how long a role may fail without progress before another instance
	// gets the chance to do better.
	giveUpAfter = 5 * time.Second
	// StandAside is how long an instance leaves a role that it has given up to others.
	StandAside = 3 * time.Second
	// showFor is how long what was wrong is shown after a role was given up. If this
	// instance gets the role again, it is shown on.
	showFor = StandAside + 2*time.Second
)

// Health is the health of one background role: its last error, nil while it makes
// progress, and what is wrong with parts of it, such as one partition. The zero value is
// healthy. It is safe for concurrent use.
type Health struct {
	mu       sync.Mutex
	err      error
	parts    map[string]error
	failures int       // since the role last made progress
	since    time.Time // of the first one
	until    time.Time // when it no longer matters, as the role was given up; zero while it is held
}

// Err returns why the role, or a part of it, makes no progress; nil if everything does.
func (h *Health) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.until.IsZero() && time.Now().After(h.until) {
		return nil // Another instance has the role.
	}
	if len(h.parts) == 0 {
		return h.err
	}
	var all []error
	if h.err != nil {
		all = append(all, h.err)
	}
	for _, name := range slices.Sorted(maps.Keys(h.parts)) {
		all = append(all, h.parts[name])
	}
	if len(all) == 1 {
		return all[0]
	}
	texts := make([]string, len(all)) // In one line, unlike [errors.Join].
	for i, err := range all {
		texts[i] = err.Error()
	}
	return events.Errorf(events.CodeOf(all[0]), "%s", strings.Join(texts, "; "))
}

// OK reports progress: earlier failures of the role no longer count.
func (h *Health) OK() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err, h.failures = nil, 0
}

// Set stores err as the last error, and reports whether it differs from the one before.
func (h *Health) Set(err error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed = differs(h.err, err)
	h.err = err
	return changed
}

// SetPart stores what is wrong with a part of the role, nil for nothing, and reports
// whether that differs from what it was before.
func (h *Health) SetPart(name string, err error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !differs(h.parts[name], err) {
		return false
	}
	if err == nil {
		delete(h.parts, name)
		return true
	}
	if h.parts == nil {
		h.parts = map[string]error{}
	}
	h.parts[name] = err
	return true
}

// ReportPart is [Health.SetPart] that logs what has changed.
func (h *Health) ReportPart(logger *slog.Logger, role, name string, err error) {
	switch changed := h.SetPart(name, err); {
	case changed && err != nil:
		logger.Warn("a part of a background role fails, the rest goes on", slog.String("role", role), slog.String("part", name), slog.Any("error", err))
	case changed:
		logger.Info("a part of a background role works again", slog.String("role", role), slog.String("part", name))
	}
}

func differs(a, b error) bool {
	return (a == nil) != (b == nil) || a != nil && a.Error() != b.Error()
}

// begin starts a term of the role.
func (h *Health) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures, h.until = 0, time.Time{}
}

// clearParts is called before parts are reported anew.
func (h *Health) clearParts() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts = nil
}

// fail counts a failure. It returns how many there were since the last progress, and for
// how long.
func (h *Health) fail() (failures int, lasting time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures++; h.failures == 1 {
		h.since = time.Now()
	}
	return h.failures, time.Since(h.since)
}

// end ends a term. A role that was stopped is not unhealthy: another instance has it. One
// that was given up is, as long as another one may not have it yet.
func (h *Health) end(gaveUp bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if gaveUp {
		h.until = time.Now().Add(showFor)
		return
	}
	h.err, h.parts, h.failures = nil, nil, 0
}

type givenUp struct{ error }

func (g givenUp) Unwrap() error { return g.error }

// GiveUp returns err marked as one after which another instance should try: f of
// [Health.Run] returns it.
func GiveUp(err error) error { return givenUp{err} }

// IsGivenUp reports whether an error was made by [GiveUp].
func IsGivenUp(err error) bool {
	var g givenUp
	return errors.As(err, &g)
}

// Run calls f until ctx ends, and then returns nil. After each return it pauses; the pause
// grows from 50 ms to 5 s until f reports progress with [Health.OK]. What was wrong with
// parts is forgotten before each call. An error is logged when it differs from the last one. After 5 s in which f has returned errors and no
// progress, or if its error was made by [GiveUp], Run returns the error: the role should be left
// to another instance.
func (h *Health) Run(ctx context.Context, logger *slog.Logger, role string, f func(context.Context) error) error {
	h.begin()
	for ctx.Err() == nil {
		h.clearParts()
		err := f(ctx)
		if ctx.Err() != nil {
			break
		}
		failures, lasting := h.fail()
		if h.Set(err) && err != nil {
			logger.WarnContext(ctx, "background role failed, trying again", slog.String("role", role), slog.Any("error", err))
		}
		if err != nil && (lasting >= giveUpAfter || IsGivenUp(err)) {
			h.end(true)
			return err
		}
		backoff.Wait(ctx, backoff.After(firstPause, maxPause, failures))
	}
	h.end(false)
	return nil //nolint:nilerr // Of a role that was stopped no error counts.
}
