package rabbitmq

import (
	"context"
	"errors"

	"github.com/pitwheel/pitwheel/events"
)

// errClosed is the error of every call on a closed broker, publisher or subscriber.
var errClosed error = events.Errorf(events.CodeShuttingDown, "the RabbitMQ client is closed")

// unroutable returns the error of a command that nobody here handles.
func unroutable(exchange, key, reason string) error {
	return events.Errorf(events.CodeUnhandled, "no handler for %s: no queue is bound to exchange %s for it (%s)", key, exchange, reason).
		WithHint("start a process that handles %s, and check that both use the same namespace", key)
}

// unroutableAgain returns the error of a call whose messages are returned though everything
// that they need was declared.
func unroutableAgain(to destination, key string, done progress) error {
	return events.Errorf(events.CodeUnhandled, "RabbitMQ has no queue for %s in %s, or loses it again after it is declared: %d of %d messages were not published",
		key, to.name(), done.total-done.confirmed, done.total).MayRetry().
		WithHint("see in the log why it is not declared, and find out who deletes exchange, queue or binding")
}

// timedOut returns the error of a call whose context has ended.
func (s *sender) timedOut(ctx context.Context, done progress) error {
	why := context.Cause(ctx)
	if _, err := s.link.state(); err != nil {
		why = errors.Join(err, why)
	} else if reason := s.link.whyBlocked(); reason != "" {
		why = errors.Join(errors.New("the broker blocks publishers: "+reason), why)
	}
	return s.incomplete(events.CodeUnavailable, why, done)
}

// closed returns the error of a call that is interrupted by Close.
func (s *sender) closed(done progress) error {
	if done.confirmed == 0 && !done.uncertain {
		return errClosed
	}
	return s.incomplete(events.CodeShuttingDown, errClosed, done)
}

// incomplete returns an error with how many messages are confirmed, and whether the
// broker may have the others.
func (s *sender) incomplete(code string, why error, done progress) error {
	left := done.total - done.confirmed
	if done.uncertain {
		return events.Errorf(events.CodeTimeout, "RabbitMQ at %s has not confirmed %d of %d messages; whether it has them is unknown: %w", s.cfg.Address(), left, done.total, why).MayRetry()
	}
	return events.Errorf(code, "%d of %d messages were not published to RabbitMQ at %s: %w", left, done.total, s.cfg.Address(), why).MayRetry()
}
