package router

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// firstLook and longestPause bound how long a sender waits before it asks for an
	// outcome, and before it asks again.
	firstLook    = time.Millisecond
	longestPause = 50 * time.Millisecond
)

// Await waits for a command's outcome. When ctx ends first, the error has the
// code TIMEOUT and the outcome is unknown. It has the code ID_IN_USE if the id is that
// of another command on the aggregate.
func (c *Commands) Await(ctx context.Context, r events.Receipt) (events.Outcome, error) {
	started := time.Now()
	timer := time.NewTimer(c.usual.firstPause())
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
			c.usual.learn(waited)
			if outcome.Command != "" && r.Command != "" && outcome.Command != r.Command {
				return events.Outcome{}, events.Errorf(events.CodeIDInUse, "the id %s is that of a %s on %s %s already", r.CommandID, outcome.Command, r.Aggregate, r.AggregateID).
					WithHint("send the %s under an id of its own", r.Command)
			}
			return outcome, nil
		}
		// Whoever has waited long can wait an eighth longer: few questions, and an
		// answer that is never much older than it need be.
		timer.Reset(min(max(waited/8, firstLook), longestPause))
	}
}

// patience knows how long outcomes take at present, so that they are asked for
// when they are likely to be there. The zero value expects them at once.
type patience struct {
	usual atomic.Int64 // nanoseconds, a moving average
}

// firstPause is a little less than outcomes usually take.
func (p *patience) firstPause() time.Duration {
	return min(max(time.Duration(p.usual.Load())*3/4, firstLook), longestPause)
}

// learn takes a wait into the average. Of two that come together one may be lost,
// which does not matter.
func (p *patience) learn(waited time.Duration) {
	usual := p.usual.Load()
	p.usual.Store(usual + (int64(waited)-usual)/8)
}
