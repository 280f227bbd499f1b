package rabbitmq

import (
	"context"
	"errors"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// sender is the one goroutine that writes to the publishing connection, for all
// publishers. A caller hands it a call and waits for the confirms on its own; so
// the confirms of many calls are under way at once, and a caller can give up
// while the broker takes nothing and a write blocks.
type sender struct {
	cfg       Config
	link      *link
	marshaler Marshaler
	calls     chan *call
	done      chan struct{} // closed when the sender has ended
}

func newSender(cfg Config, l *link) *sender {
	return &sender{
		cfg: cfg, link: l, marshaler: Marshaler{AppID: cfg.AppID},
		calls: make(chan *call, 64),
		done:  make(chan struct{}),
	}
}

// run publishes until ctx is over.
func (s *sender) run(ctx context.Context) {
	defer close(s.done)
	pause := backoff.Backoff{Min: s.cfg.MinBackoff, Max: s.cfg.MaxBackoff}
	for {
		conn, err := s.link.await(ctx)
		if err != nil {
			return
		}
		session, err := openSession(conn, s.cfg, s.link)
		if err != nil {
			s.cfg.Logger.Warn("RabbitMQ gave no channel to publish on, trying again", slog.Any("error", err))
			if !pause.Wait(ctx) {
				return
			}
			continue
		}
		since := time.Now()
		session.serve(ctx, s.calls)
		if reason := session.close(); reason != nil && !conn.IsClosed() {
			s.cfg.Logger.Warn("RabbitMQ closed the channel to publish on, opening another", slog.Any("error", reason))
		}
		// A message that the broker cannot bear closes the channel each time.
		if time.Since(since) > s.cfg.MaxBackoff {
			pause.Reset()
		} else if !conn.IsClosed() && !pause.Wait(ctx) {
			return
		}
	}
}

// maxRefusals is how often one call is sent again after the broker has closed
// the channel, and not the connection: one of its messages may be the reason.
const maxRefusals = 3

// progress is how far the messages of one Publish have come.
type progress struct {
	total     int
	confirmed int
	// uncertain is true if some were under way when the connection broke.
	uncertain bool
}

// publish sends items and waits until each is confirmed. What was under way when
// the connection broke is sent again, in order.
func (s *sender) publish(ctx context.Context, to destination, items []item) error {
	done := progress{total: len(items)}
	pause := backoff.Backoff{Min: s.cfg.MinBackoff, Max: time.Second}
	for refusals := 0; ; {
		c := &call{ctx: ctx, to: to, items: items, written: make(chan struct{})}
		select {
		case s.calls <- c:
		case <-ctx.Done():
			return s.gaveUp(ctx, done)
		case <-s.done:
			return s.closed(done)
		}
		left, refused, err := s.await(c, done)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		done.confirmed = done.total - len(left)
		missing := false // the queue
		for i := range left {
			missing = missing || left[i].returned != ""
			done.uncertain = done.uncertain || left[i].returned == "" && left[i].confirm != nil
			left[i] = item{key: left[i].key, publishing: left[i].publishing}
		}
		if missing {
			if to.declare {
				return events.Errorf(events.CodeUnhandled, "RabbitMQ has no queue %s, and does not keep it when it is declared", to.queue)
			}
			to.declare = true
		}
		if reason := c.session.refusal(); reason != nil {
			if refusals++; refusals == maxRefusals {
				return events.Errorf(events.CodeUnavailable, "RabbitMQ refuses what is published to %s: %w", to.name(), reason)
			}
		}
		items = left
		// A queue without a leader, as after a crash, refuses for a while.
		if refused > 0 && !pause.Wait(ctx) {
			return events.Errorf(events.CodeUnavailable, "RabbitMQ refuses %d of %d messages for %s, as a queue is full or not available: %w",
				refused, done.total, to.name(), context.Cause(ctx)).MayRetry()
		}
	}
}

// await returns what must be sent again: what was lost with the connection, what
// the broker refused for now (and how many these are) and, for a queue that may
// not exist yet, what came back.
func (s *sender) await(c *call, done progress) (left []item, refused int, err error) {
	select {
	case <-c.written:
	case <-c.ctx.Done():
		done.uncertain = c.abandon() > 0 || done.uncertain
		return nil, 0, s.gaveUp(c.ctx, done)
	case <-s.done:
		// The sender may have written it as its last deed.
		done.uncertain = c.abandon() > 0 || done.uncertain
		return nil, 0, s.closed(done)
	}
	if c.err != nil {
		return nil, 0, c.err
	}
	acked := 0
	again := make([]bool, len(c.items))
	for i := range c.items {
		confirm := c.items[i].confirm
		if confirm == nil {
			again[i] = true
			continue
		}
		select {
		case <-confirm.Done():
		default:
			select {
			case <-confirm.Done():
			case <-c.ctx.Done():
				c.abandon()
				done.uncertain = true
				done.confirmed += acked
				return nil, 0, s.gaveUp(c.ctx, done)
			}
		}
		switch {
		case confirm.Acked():
			acked++
		default:
			again[i] = true
			if !c.session.channel.IsClosed() {
				refused++
			}
		}
	}
	if c.to.mandatory {
		c.session.returns.settle(c)
		for i := range c.items {
			if reason := c.items[i].returned; reason != "" {
				if c.to.queue == "" {
					return nil, 0, unroutable(c.to.exchange, c.items[i].key, reason)
				}
				again[i] = true
			}
		}
	}
	// The sender still looks at the old ones, so they are left as they are.
	for i := range c.items {
		if again[i] {
			left = append(left, c.items[i])
		}
	}
	return left, refused, nil
}

func (d destination) name() string {
	if d.queue != "" {
		return "queue " + d.queue
	}
	return "exchange " + d.exchange
}

func unroutable(exchange, key, reason string) error {
	return events.Errorf(events.CodeUnhandled, "nobody handles %s: no queue is bound to exchange %s for it (%s)", key, exchange, reason).
		WithHint("start a process that handles %s, and check that both use the same namespace", key)
}

// gaveUp is the error of a call whose context is over.
func (s *sender) gaveUp(ctx context.Context, done progress) error {
	why := context.Cause(ctx)
	if _, err := s.link.state(); err != nil {
		why = errors.Join(err, why)
	} else if reason := s.link.whyBlocked(); reason != "" {
		why = errors.Join(errors.New("the broker takes no messages for now: "+reason), why)
	}
	return s.incomplete(events.CodeUnavailable, why, done)
}

// closed is the error of a call that the end of the broker's client interrupts.
func (s *sender) closed(done progress) error {
	if done.confirmed == 0 && !done.uncertain {
		return errClosed
	}
	return s.incomplete(events.CodeShuttingDown, errClosed, done)
}

// incomplete says how many messages are with the broker, and whether the others
// may be.
func (s *sender) incomplete(code string, why error, done progress) error {
	left := done.total - done.confirmed
	if done.uncertain {
		return events.Errorf(events.CodeTimeout, "RabbitMQ at %s has not confirmed %d of %d messages; whether it has them is unknown: %w", s.cfg.address(), left, done.total, why).MayRetry()
	}
	return events.Errorf(code, "%d of %d messages were not published to RabbitMQ at %s: %w", left, done.total, s.cfg.address(), why).MayRetry()
}

// declareOn declares something on a channel of its own, as the broker closes a
// channel on which it refuses to.
func declareOn(conn *amqp.Connection, declare func(*amqp.Channel) error) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := declare(ch); err != nil {
		_ = ch.Close() // The broker has closed it already.
		return err
	}
	return ch.Close()
}
