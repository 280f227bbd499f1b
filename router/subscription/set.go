package subscription

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// Running is a subscription that consumes. Its methods are safe for concurrent use. It is
// also a [router.Flusher].
type Running interface {
	// Ready returns nil while it consumes, else why it does not.
	Ready() error
	// Drain is as in router.Subscriber, and may be called again.
	Drain(ctx context.Context) error
}

// Set holds the running subscriptions of one subscriber, of which it is the methods Ready,
// Flush, Drain and Close. It is safe for concurrent use.
type Set struct {
	queue string
	grace time.Duration
	life  context.Context //nolint:containedctx // It is the subscriber's.
	end   context.CancelFunc

	mu      sync.Mutex
	running map[Running]func() bool // with what stops waiting for the end of Subscribe's context
}

// NewSet returns the set of a subscriber of a queue. The grace period is how long Close,
// and the end of the context of Subscribe, wait for running handlers.
func NewSet(queue string, grace time.Duration) *Set {
	s := &Set{queue: queue, grace: grace, running: map[Running]func() bool{}}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Life ends when Drain or Close is called.
func (s *Set) Life() context.Context { return s.life }

// Add adds the subscription that start returns, until ctx ends, which is like Close. After
// Drain or Close it returns an error with the code SHUTTING_DOWN, and start is not called.
func (s *Set) Add(ctx context.Context, start func() Running) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return s.closed()
	}
	r := start()
	s.running[r] = context.AfterFunc(ctx, func() {
		_ = s.close(r.Drain) // Nobody waits for it, and what is left is delivered again.
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.running, r)
	})
	return nil
}

func (s *Set) closed() error {
	return events.Errorf(events.CodeShuttingDown, "the subscriber of queue %s is closed", s.queue)
}

// Ready returns nil while all subscriptions consume, else why one does not, or that there
// is none.
func (s *Set) Ready() error {
	running := s.all()
	switch {
	case s.life.Err() != nil:
		return s.closed()
	case len(running) == 0:
		return events.Errorf(events.CodeUnavailable, "queue %s is not consumed yet, or not any more", s.queue).MayRetry()
	}
	for _, r := range running {
		if err := r.Ready(); err != nil {
			return err
		}
	}
	return nil
}

// Flush returns nil once every message that was received before the call, by any of the
// subscriptions, is acked and its acknowledgement sent, or was given back to the broker.
// Without a subscription that is so at once.
func (s *Set) Flush(ctx context.Context) error {
	return s.each(s.all(), func(r Running) error {
		f, ok := r.(router.Flusher)
		if !ok {
			return events.Errorf(events.CodeInternal, "the subscription of queue %s, a %T, cannot be flushed", s.queue, r)
		}
		return f.Flush(ctx)
	})
}

func (s *Set) all() []Running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.running))
}

// each calls f for all subscriptions at the same time, and returns their errors.
func (*Set) each(running []Running, f func(Running) error) error {
	var all sync.WaitGroup
	errs := make([]error, len(running))
	for i, r := range running {
		all.Go(func() { errs[i] = f(r) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Drain stops receiving at once, waits until every message delivered is acked or nacked and
// its acknowledgement is sent, and ends the subscriptions. When ctx ends first, it returns
// ctx's error; the broker delivers again what is left. It may be called again.
func (s *Set) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.end()
	running := slices.Collect(maps.Keys(s.running))
	for _, stop := range s.running {
		stop()
	}
	s.mu.Unlock()
	return s.each(running, func(r Running) error { return r.Drain(ctx) })
}

// Close is Drain with the grace period as deadline. Messages whose handlers have not
// finished by then are delivered again; that is not an error.
func (s *Set) Close() error { return s.close(s.Drain) }

func (s *Set) close(drain func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.grace)
	defer cancel()
	// An earlier Drain may have been cancelled, and its error is repeated.
	if err := drain(ctx); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
