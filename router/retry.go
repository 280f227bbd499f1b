package router

import (
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// retry lets a failed attempt be followed by another, up to the policy's
// attempts. It does not wait: it says what pause is due. How many attempts were
// made travels beside the message, so that whoever gets it next goes on counting.
func (c *consumer) retry(next message.HandlerFunc) message.HandlerFunc {
	policy := c.plan.policy
	return func(msg *message.Message) ([]*message.Message, error) {
		d := deliveryOf(msg.Context())
		d.recallFailures(msg)
		d.attempts++
		d.attempted = time.Now()
		out, err := next(msg)
		c.metrics.attempt.Observe(time.Since(d.attempted).Seconds())
		if err == nil {
			c.breaker.succeeded()
			d.verdict = verdictHandled
			if d.repeated {
				d.verdict = verdictDuplicate
			}
			return out, nil
		}
		// A stop is nobody's failure: the message is given back as it came.
		var given aborted
		if stopped := d.Context.Err() != nil; stopped || errors.As(err, &given) {
			c.breaker.undecided(d.probe)
			return nil, aborted{err}
		}
		if d.firstFailed.IsZero() {
			d.firstFailed = time.Now()
		}
		asked, wanted := events.RetryDelay(err)
		if events.IsPermanent(err) || !wanted && !c.mayPass(d, err) {
			c.breaker.undecided(d.probe)
			return nil, err
		}
		if pause := c.breaker.failed(time.Now(), d.attempts == 1, d.probe); pause > 0 {
			if asked > pause {
				c.wait(d, msg, asked) // As it asks for, also when nothing counts.
				d.verdict = verdictEarly
			} else {
				d.giveBack(msg, pause)
			}
			return nil, nil
		}
		if d.attempts >= policy.Attempts {
			return nil, err
		}
		pause := backoff.After(policy.Backoff, policy.MaxBackoff, d.attempts)
		if wanted {
			pause = max(asked, time.Millisecond)
		}
		c.logger.WarnContext(d, "attempt failed, another follows", c.attrs(d,
			slog.Int("attempt", d.attempts), slog.Duration("pause", pause), slog.String("error", bounded(err.Error(), maxReason)))...)
		d.noteFailures(msg)
		c.wait(d, msg, pause)
		d.verdict = verdictRetried
		return nil, nil
	}
}

// mayPass asks the policy whether another attempt may help.
func (c *consumer) mayPass(d *delivery, cause error) (may bool) {
	ask := c.plan.policy.RetryIf
	if ask == nil {
		return true
	}
	err := guarded("RetryIf", func() error {
		may = ask(cause)
		return nil
	})
	if err != nil {
		c.logger.ErrorContext(d, "the policy failed, so the message is poisoned", c.attrs(d, slog.Any("error", err))...)
	}
	return may
}

// longestWait bounds what a handler may ask for with [events.RetryAfter].
const longestWait = 365 * 24 * time.Hour

// recallFailures reads what former attempts left beside the message.
func (d *delivery) recallFailures(msg *message.Message) {
	attempts := msg.Metadata[events.MetaAttempts]
	if attempts == "" {
		return // As nearly all messages.
	}
	if n, err := strconv.Atoi(attempts); err == nil && n > 0 {
		d.attempts = n
		d.firstFailed, _ = time.Parse(time.RFC3339Nano, msg.Metadata[events.MetaFirstFailed])
	}
}

// noteFailures writes beside the message how many attempts were made and when the
// first one failed, for whoever makes the next.
func (d *delivery) noteFailures(msg *message.Message) {
	msg.Metadata[events.MetaAttempts] = strconv.Itoa(d.attempts)
	msg.Metadata[events.MetaFirstFailed] = d.firstFailed.UTC().Format(events.TimeLayout)
}

// wait says when the next attempt is due, here and beside the message.
func (c *consumer) wait(d *delivery, msg *message.Message, pause time.Duration) {
	// The layout cuts off what is below a millisecond, and early is worse than late.
	now := time.Now()
	due := now.Add(min(pause, longestWait) + time.Millisecond - 1).Truncate(time.Millisecond)
	c.pauseFor(d, due.Sub(now))
	msg.Metadata[events.MetaDue] = due.UTC().Format(events.TimeLayout)
}
