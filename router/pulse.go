package router

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/router/backoff"
)

// pulse keeps a background role going and remembers what ails it.
type pulse struct {
	mu       sync.Mutex
	err      error
	failures int // since it last got on
}

// ailing is why the role is not getting on; nil if it is.
func (p *pulse) ailing() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// ok says that the role is getting on: what failed before counts no more.
func (p *pulse) ok() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.failures = nil, 0
}

// fail counts a failure, and returns how many there were since the role last got on.
func (p *pulse) fail() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures++
	return p.failures
}

// set remembers err and tells whether it is news.
func (p *pulse) set(err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := (err == nil) != (p.err == nil) || err != nil && err.Error() != p.err.Error()
	p.err = err
	return news
}

// keep runs f again and again until ctx ends, with a pause after an error that grows
// until f says that it is getting on ([pulse.ok]). An error is logged when it is a
// new one, not every time.
func (p *pulse) keep(ctx context.Context, logger *slog.Logger, role string, f func(context.Context) error) {
	const first, limit = 50 * time.Millisecond, 5 * time.Second
	for ctx.Err() == nil {
		err := f(ctx)
		if ctx.Err() != nil {
			break
		}
		failures := p.fail()
		if p.set(err) && err != nil {
			logger.WarnContext(ctx, "background role is in trouble, trying again", slog.String("role", role), slog.Any("error", err))
		}
		backoff.Wait(ctx, backoff.After(first, limit, failures))
	}
	p.ok() // Whoever has stopped ails no more; another instance has the role.
}
