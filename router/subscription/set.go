package subscription

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// Running is a subscription that consumes. Both methods are safe for concurrent use.
type Running interface {
	// Ready returns nil while it consumes, else why it does not.
	Ready() error
	// Drain is as in router.Subscriber, and may be called again.
	Drain(ctx context.Context) error
}

// Set holds the running subscriptions of one subscriber, of which it is the methods Ready,
// Drain and Close. It is safe for concurrent use.
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
	s.mu.Lock()
	running := slices.Collect(maps.Keys(s.running))
	s.mu.Unlock()
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
	var draining sync.WaitGroup
	errs := make([]error, len(running))
	for i, r := range running {
		draining.Go(func() { errs[i] = r.Drain(ctx) })
	}
	draining.Wait()
	return errors.Join(errs...)
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
