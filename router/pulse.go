package router

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// pulse keeps a background role going and remembers what ails it.
type pulse struct {
	mu  sync.Mutex
	err error
}

func newPulse() *pulse { return &pulse{} }

// ailing is why the role is not getting on; nil if it is.
func (p *pulse) ailing() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *pulse) ok() { p.set(nil) }

// set remembers err and tells whether it is news.
func (p *pulse) set(err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := (err == nil) != (p.err == nil) || err != nil && err.Error() != p.err.Error()
	p.err = err
	return news
}

// keep runs f again and again, with a growing pause after an error, until ctx
// ends. An error is logged when it is a new one, not every time.
func (p *pulse) keep(ctx context.Context, logger *slog.Logger, role string, f func(context.Context) error) {
	const first, limit = 50 * time.Millisecond, 5 * time.Second
	failures := 0
	for ctx.Err() == nil {
		began := time.Now()
		err := f(ctx)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > limit {
			failures = 0
		}
		failures++
		if p.set(err) && err != nil {
			logger.WarnContext(ctx, "background role is in trouble, trying again", slog.String("role", role), slog.Any("error", err))
		}
		select {
		case <-time.After(backoff(first, limit, failures)):
		case <-ctx.Done():
		}
	}
	p.ok() // Whoever has stopped ails no more; another instance has the role.
}
