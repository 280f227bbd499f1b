package router

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
	"github.com/pitwheel/pitwheel/router/internal/panics"
	"github.com/pitwheel/pitwheel/router/internal/text"
)

// maxRetryAfter bounds the pause that a handler may ask for with [events.RetryAfter].
const maxRetryAfter = 365 * 24 * time.Hour

// retry lets a failed attempt be followed by another, up to the policy's attempts. It
// does not wait itself: the result says for how long, and where. The number of attempts
// travels in the metadata, so that the next delivery continues to count.
func (c *consumer) retry(next stage) stage {
	policy := c.plan.policy
	return func(ctx context.Context, d *delivery) result {
		d.readFailures()
		d.attempts++
		r := next(ctx, d)
		if r.action != actionFail {
			return r
		}
		if d.attempts >= policy.Attempts {
			return giveUp(r.err)
		}
		pause := r.after
		if pause == 0 {
			pause = backoff.After(policy.Backoff, policy.MaxBackoff, d.attempts)
		}
		c.logger.WarnContext(d, "attempt failed, another follows", d.attrs(
			slog.Int("attempt", d.attempts), slog.Duration("pause", pause), slog.String("error", text.Cut(r.err.Error(), maxReason)))...)
		d.writeFailures()
		return c.postpone(d, pause, outcomeRetried)
	}
}

// readFailures reads what earlier attempts left in the metadata.
func (d *delivery) readFailures() {
	attempts := d.msg.Metadata[events.MetaAttempts]
	if attempts == "" {
		return // As with nearly all messages.
	}
	if n, err := strconv.Atoi(attempts); err == nil && n > 0 {
		d.attempts = n
		d.firstFailed, _ = time.Parse(time.RFC3339Nano, d.msg.Metadata[events.MetaFirstFailed])
	}
}

// writeFailures writes the number of attempts, and when the first one failed, into the
// metadata for the next delivery.
func (d *delivery) writeFailures() {
	if d.firstFailed.IsZero() {
		d.firstFailed = time.Now()
	}
	d.msg.Metadata[events.MetaAttempts] = strconv.Itoa(d.attempts)
	d.msg.Metadata[events.MetaFirstFailed] = d.firstFailed.UTC().Format(events.TimeLayout)
}

// postpone writes into the metadata when the next attempt is due, and lets the message
// wait until then.
func (c *consumer) postpone(d *delivery, pause time.Duration, o outcome) result {
	// The layout cuts off what is below a millisecond, and early is worse than late.
	now := time.Now()
	due := now.Add(min(pause, maxRetryAfter) + time.Millisecond - 1).Truncate(time.Millisecond)
	d.msg.Metadata[events.MetaDue] = due.UTC().Format(events.TimeLayout)
	return c.waitFor(due.Sub(now), o)
}

// readable stops a message that could not be decoded before it reaches the handler.
// Trying again cannot help, and it says nothing about the handler.
func (c *consumer) readable(next stage) stage {
	return func(ctx context.Context, d *delivery) result {
		switch {
		case d.undecodable == nil:
			return next(ctx, d)
		case ctx.Err() != nil: // It is delivered again, and must not be in the poison queue by then.
			return abort(d.undecodable)
		}
		return giveUp(d.undecodable)
	}
}

// classify decides whether another attempt may help: not after a permanent error, nor
// if the policy says so. A handler that asks for a retry itself gets one.
func (c *consumer) classify(next stage) stage {
	return func(ctx context.Context, d *delivery) result {
		r := next(ctx, d)
		if r.action == actionFail && (events.IsPermanent(r.err) || r.after == 0 && !c.mayRetry(d, r.err)) {
			return giveUp(r.err)
		}
		return r
	}
}

// mayRetry asks the policy whether another attempt may help.
func (c *consumer) mayRetry(d *delivery, cause error) (may bool) {
	retryIf := c.plan.policy.RetryIf
	if retryIf == nil {
		return true
	}
	err := panics.Guard("RetryIf", func() error {
		may = retryIf(cause)
		return nil
	})
	if err != nil {
		c.logger.ErrorContext(d, "RetryIf failed, so the message goes to the poison queue", d.attrs(slog.Any("error", err))...)
	}
	return may
}
