package router

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// retry calls the handler until it succeeds, up to the policy's attempts. Other
// keys go on meanwhile; the message's own key waits, which keeps its order.
func (c *consumer) retry(next message.HandlerFunc) message.HandlerFunc {
	policy := c.plan.policy
	return func(msg *message.Message) ([]*message.Message, error) {
		d := deliveryOf(msg.Context())
		for {
			d.attempts++
			d.sent = nil // Every attempt sends its commands from the first one on.
			started := time.Now()
			out, err := next(msg)
			c.metrics.attempt.Observe(time.Since(started).Seconds())
			if err == nil {
				d.verdict = verdictHandled
				return out, nil
			}
			// A stop is nobody's failure: the message is given back as it came.
			if stopped := d.Context.Err(); stopped != nil {
				return nil, aborted{err}
			}
			var given aborted
			if errors.As(err, &given) {
				return nil, err
			}
			if d.firstFailed.IsZero() {
				d.firstFailed = time.Now()
			}
			if events.IsPermanent(err) || d.attempts >= policy.Attempts {
				return nil, err
			}
			pause := backoff(policy.Backoff, policy.MaxBackoff, d.attempts)
			if asked, ok := events.RetryDelay(err); ok {
				pause = asked
			}
			c.metrics.retried.Inc()
			c.logger.WarnContext(d, "attempt failed, another follows", c.attrs(d,
				slog.Int("attempt", d.attempts), slog.Duration("pause", pause), slog.String("error", bounded(err.Error(), maxReason)))...)
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-d.Done():
				timer.Stop()
				return nil, aborted{err}
			}
		}
	}
}

// backoff is the pause after the n-th failed attempt, n from 1 on: first doubled
// n-1 times, at most limit, spread evenly over half to one and a half of that.
func backoff(first, limit time.Duration, n int) time.Duration {
	pause := limit
	// Beyond 30 doublings the product would overflow; the limit is long reached.
	if n-1 < 30 {
		pause = min(limit, first<<(n-1))
	}
	return pause/2 + rand.N(pause+1) //nolint:gosec // Spreading load needs no secret randomness.
}
