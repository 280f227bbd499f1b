package router

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// minPoll and maxPoll bound the pause before a lookup of an outcome.
	minPoll = time.Millisecond
	maxPoll = 50 * time.Millisecond
)

// Await waits for the outcome of a command that was sent. If ctx ends first, the error
// has the code TIMEOUT, and the outcome is unknown. If the id belongs to another command
// on the aggregate, the error has the code ID_IN_USE.
func (c *Commands) Await(ctx context.Context, r events.Receipt) (events.Outcome, error) {
	started := time.Now()
	timer := time.NewTimer(c.latency.firstPause())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return events.Outcome{}, events.Errorf(events.CodeTimeout, "no outcome of command %s in time, it is unknown: %w", r.CommandID, ctx.Err()).
				WithHint("send it again with the id %s to learn its outcome; it never adds an event twice", r.CommandID).MayRetry()
		case <-timer.C:
		}
		outcome, ok, err := c.log.Outcome(ctx, r.Aggregate, r.AggregateID, r.CommandID)
		if err != nil && ctx.Err() == nil {
			return events.Outcome{}, err
		}
		waited := time.Since(started)
		if ok {
			c.latency.observe(waited)
			if outcome.Command != "" && r.Command != "" && outcome.Command != r.Command {
				return events.Outcome{}, events.Errorf(events.CodeIDInUse, "the id %s is that of a %s on %s %s already", r.CommandID, outcome.Command, r.Aggregate, r.AggregateID).
					WithHint("send the %s under an id of its own", r.Command)
			}
			return outcome, nil
		}
		// Each pause is an eighth of the wait so far: few lookups, and an outcome that is
		// returned soon after it was stored.
		timer.Reset(min(max(waited/8, minPoll), maxPoll))
	}
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
