package router

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// minPoll and maxPoll bound the pause before a lookup of an outcome.
	minPoll = time.Millisecond
	maxPoll = 50 * time.Millisecond
	// lookupTimeout bounds one lookup of outcomes. After that, everyone who waits for one
	// of them gets the error.
	lookupTimeout = 5 * time.Second
	// maxLookup is how many outcomes are looked up at once.
	maxLookup = 500
)

// Await waits for the outcome of a command that was sent. If ctx ends first, the error
// has the code TIMEOUT, and the outcome is unknown. If the id belongs to another command
// on the aggregate, or to one with other data, the error has the code ID_IN_USE.
//
// However many callers wait, their outcomes are looked up together.
func (c *Commands) Await(ctx context.Context, r events.Receipt) (events.Outcome, error) {
	a := c.outcomes.add(r)
	select {
	case <-a.found:
		if a.err != nil {
			return events.Outcome{}, a.err
		}
		return checkedOutcome(r, a.outcome)
	case <-ctx.Done():
		c.outcomes.remove(a)
		return events.Outcome{}, unknownOutcome(r.CommandID, ctx.Err())
	}
}

// unknownOutcome is the error for a command whose caller could not wait any longer.
func unknownOutcome(commandID string, cause error) error {
	return events.Errorf(events.CodeTimeout, "no outcome of command %s in time, it is unknown: %w", commandID, cause).
		WithHint("send it again with the id %s to learn its outcome; it never adds an event twice", commandID).MayRetry()
}

// outcomes looks up outcomes for everyone who waits for one. Its goroutine runs while
// anyone does.
type outcomes struct {
	log     Log
	latency latency

	mu      sync.Mutex
	waiting map[*awaited]struct{}
	// stop ends the lookup under way; nil while nobody waits.
	stop context.CancelFunc
	// wake has room for one signal: somebody has come who is due before all others.
	wake chan struct{}
}

// awaited is an outcome that somebody waits for.
type awaited struct {
	receipt events.Receipt
	started time.Time
	due     time.Time // of its next lookup
	// outcome and err are set before found is closed.
	outcome events.Outcome
	err     error
	found   chan struct{}
}

func newOutcomes(log Log) *outcomes {
	return &outcomes{log: log, waiting: map[*awaited]struct{}{}, wake: make(chan struct{}, 1)}
}

func (o *outcomes) add(r events.Receipt) *awaited {
	now := time.Now()
	a := &awaited{receipt: r, started: now, due: now.Add(o.latency.firstPause()), found: make(chan struct{})}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting[a] = struct{}{}
	if o.stop == nil {
		var ctx context.Context
		ctx, o.stop = context.WithCancel(context.Background())
		go o.run(ctx)
		return a
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return a
}

// remove is for a caller who waits no longer. After the last one, the goroutine ends.
func (o *outcomes) remove(a *awaited) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.waiting, a)
	o.endIfIdle()
}

// endIfIdle ends the goroutine if nobody waits. It is called with the lock held.
func (o *outcomes) endIfIdle() {
	if len(o.waiting) == 0 && o.stop != nil {
		o.stop()
		o.stop = nil
	}
}

// run looks up outcomes when they are due, until nobody waits for one.
func (o *outcomes) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		due, next := o.due(ctx, time.Now())
		if len(due) > 0 {
			o.lookUp(ctx, due)
			continue
		}
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-o.wake:
		case <-ctx.Done():
		}
	}
}

// due returns those whose outcomes are to be looked up now; if there are none, when the
// next ones are. There are none for a goroutine that has ended: those who wait have
// another one.
func (o *outcomes) due(ctx context.Context, now time.Time) (due []*awaited, next time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	soon := now.Add(minPoll / 2)
	next = now.Add(maxPoll)
	if ctx.Err() != nil {
		return nil, next
	}
	for a := range o.waiting {
		switch {
		case a.due.After(soon):
			if a.due.Before(next) {
				next = a.due
			}
		case len(due) < maxLookup:
			due = append(due, a)
		}
	}
	return due, next
}

// lookUp asks the log once for several outcomes. If one of them cannot be read, they are
// looked up one by one, so that only who waits for that one gets the error.
func (o *outcomes) lookUp(ctx context.Context, due []*awaited) {
	receipts := make([]events.Receipt, len(due))
	for i, a := range due {
		receipts[i] = a.receipt
	}
	lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
	stored, err := o.log.Outcomes(lookup, receipts)
	cancel()
	if events.CodeOf(err) == events.CodeUndecodable && len(due) > 1 {
		for i := range due {
			o.lookUp(ctx, due[i:i+1])
		}
		return
	}
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, a := range due {
		if _, still := o.waiting[a]; !still {
			continue
		}
		waited := now.Sub(a.started)
		switch {
		case err != nil:
			a.err = err
		case stored[i].Status == "":
			// Each pause is an eighth of the wait so far: few lookups, and an outcome that is
			// returned soon after it was stored.
			a.due = now.Add(min(max(waited/8, minPoll), maxPoll))
			continue
		default:
			o.latency.observe(waited)
			a.outcome = stored[i]
		}
		delete(o.waiting, a)
		close(a.found)
	}
	o.endIfIdle()
}

// latency is a moving average of how long outcomes take, so that they are looked up when
// they are likely to be stored. The zero value expects them at once.
type latency struct {
	average atomic.Int64 // nanoseconds
}

// firstPause returns a little less than the average.
func (l *latency) firstPause() time.Duration {
	return min(max(time.Duration(l.average.Load())*3/4, minPoll), maxPoll)
}

// observe adds a wait to the average. Of two concurrent ones one may be lost, which does
// not matter.
func (l *latency) observe(waited time.Duration) {
	average := l.average.Load()
	l.average.Store(average + (int64(waited)-average)/8)
}
