package mail

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

var errClosed = errors.New("the mail sender is closed")

// pool bounds the open sessions and keeps idle ones for the next mail. The last
// one given back is taken first, so that under little load the others grow old
// and are closed.
type pool struct {
	dialer *dialer
	keep   time.Duration
	slots  chan struct{} // one token a session that may be open

	mu     sync.Mutex
	idle   []*session // oldest first
	closed bool

	stop   chan struct{}
	reaped sync.WaitGroup
}

func newPool(d *dialer, sessions int, keep time.Duration) *pool {
	p := &pool{dialer: d, keep: keep, slots: make(chan struct{}, sessions), stop: make(chan struct{})}
	p.reaped.Go(p.reap)
	return p
}

// take returns an idle session or a new one. It waits while all are in use.
func (p *pool) take(ctx context.Context) (*session, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.stop:
		return nil, errClosed
	}
	p.mu.Lock()
	closed, last := p.closed, len(p.idle)-1
	var s *session
	if !closed && last >= 0 {
		s, p.idle = p.idle[last], p.idle[:last]
	}
	p.mu.Unlock()
	switch {
	case closed:
		p.release()
		return nil, errClosed
	case s != nil:
		return s, nil
	}
	return p.open(ctx)
}

// open makes a new session for a slot that the caller holds; it releases the slot
// when that fails.
func (p *pool) open(ctx context.Context) (*session, error) {
	s, err := p.dialer.open(ctx)
	if err != nil {
		p.release()
	}
	return s, err
}

// give puts a session back.
func (p *pool) give(s *session) {
	s.reused, s.since = true, time.Now()
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.idle = append(p.idle, s)
	}
	p.mu.Unlock()
	if closed {
		s.quit()
	}
	p.release()
}

// release returns the slot of a session.
func (p *pool) release() { <-p.slots }

// reap closes sessions that have been idle for too long, until the pool closes.
func (p *pool) reap() {
	ticker := time.NewTicker(max(p.keep/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case now := <-ticker.C:
			p.mu.Lock()
			n := 0
			for n < len(p.idle) && now.Sub(p.idle[n].since) > p.keep {
				n++
			}
			old := slices.Clone(p.idle[:n])
			p.idle = slices.Delete(p.idle, 0, n)
			p.mu.Unlock()
			quitAll(old)
		}
	}
}

// close lets the mails under way finish and ends all sessions.
func (p *pool) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	close(p.stop)
	p.reaped.Wait()
	quitAll(idle)
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
}

func quitAll(sessions []*session) {
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(s.quit)
	}
	wg.Wait()
}
