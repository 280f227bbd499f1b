package rabbitmq

import (
	"context"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// sender is the one goroutine that writes to the publishing connection, for all
// publishers. A caller sends it a call and waits for the confirms itself; so the confirms
// of many calls are pipelined, and a caller can stop waiting while the broker blocks and a
// write does not return.
type sender struct {
	cfg       Config
	link      *link
	consume   *link
	declarer  *declarer
	marshaler Marshaler
	calls     chan *call
	binds     map[string]int // how often an exchange was declared with what is bound to it
	done      chan struct{}  // closed when the sender has ended
}

func newSender(cfg Config, publish, consume *link, d *declarer) *sender {
	return &sender{
		cfg: cfg, link: publish, consume: consume, declarer: d, marshaler: Marshaler{AppID: cfg.AppID},
		calls: make(chan *call, 64),
		binds: make(map[string]int),
		done:  make(chan struct{}),
	}
}

// run publishes until ctx ends.
func (s *sender) run(ctx context.Context) {
	defer close(s.done)
	pause := backoff.Backoff{Min: s.cfg.MinBackoff, Max: s.cfg.MaxBackoff}
	for {
		conn, err := s.link.await(ctx)
		if err != nil {
			return
		}
		session, err := openSession(conn, s)
		if err != nil {
			s.cfg.Logger.Warn("cannot open a RabbitMQ channel for publishing, trying again", slog.Any("error", err))
			if !pause.Wait(ctx) {
				return
			}
			continue
		}
		since := time.Now()
		session.serve(ctx, s.calls)
		if reason := session.close(); reason != nil && !conn.IsClosed() {
			s.cfg.Logger.Warn("RabbitMQ closed the channel for publishing, opening another", slog.Any("error", reason))
		}
		// A message that the broker does not accept closes the channel each time.
		if time.Since(since) > s.cfg.MaxBackoff {
			pause.Reset()
		} else if !conn.IsClosed() && !pause.Wait(ctx) {
			return
		}
	}
}

// maxRefusals is how often the broker may close the channel, and not the connection, while
// one call is sent: one of its messages may be the reason.
const maxRefusals = 3

// progress is what is known about the messages of one Publish.
type progress struct {
	total     int
	confirmed int
	// uncertain reports whether some were sent and not confirmed.
	uncertain bool
}

// publish sends items and waits until each is confirmed. Those that were unconfirmed when
// the connection broke are sent again, in order.
func (s *sender) publish(ctx context.Context, to destination, items []item) error {
	done := progress{total: len(items)}
	pause := backoff.Backoff{Min: s.cfg.MinBackoff, Max: time.Second}
	for refusals := 0; ; {
		c := &call{ctx: ctx, to: to, items: items, written: make(chan struct{})}
		c.mandatory = s.setMandatory(to, items)
		select {
		case s.calls <- c:
		case <-ctx.Done():
			return s.timedOut(ctx, done)
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
		missing := "" // the key of a message that has no queue
		for i := range left {
			if left[i].returned != "" {
				missing = left[i].key
			}
			done.uncertain = done.uncertain || left[i].returned == "" && left[i].confirm != nil
			left[i] = item{key: left[i].key, publishing: left[i].publishing}
		}
		if missing != "" {
			if to.declare {
				return unroutableAgain(to, missing, done)
			}
			to.declare, to.binds = true, c.binds
		}
		if reason := c.session.refusal(); reason != nil {
			if refusals++; refusals == maxRefusals {
				return events.Errorf(events.CodeUnavailable, "RabbitMQ refuses messages for %s: %w", to.name(), reason)
			}
		}
		items = left
		// A queue without a leader, as after a crash, refuses messages temporarily.
		if refused > 0 && !pause.Wait(ctx) {
			return events.Errorf(events.CodeUnavailable, "RabbitMQ refuses %d of %d messages for %s, as a queue is full or unavailable: %w",
				refused, done.total, to.name(), context.Cause(ctx)).MayRetry()
		}
	}
}

// await returns the items that must be sent again: those lost with the connection, those
// that the broker refused (and how many these are) and those that were returned, though a
// known subscription wants them or the queue only has to be declared.
func (s *sender) await(c *call, done progress) (left []item, refused int, err error) {
	defer c.release()
	select {
	case <-c.written:
	case <-c.ctx.Done():
		done.uncertain = c.abandon() > 0 || done.uncertain
		return nil, 0, s.timedOut(c.ctx, done)
	case <-s.done:
		// The sender may have written it before it ended.
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
				return nil, 0, s.timedOut(c.ctx, done)
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
	if c.mandatory {
		c.session.returns.collect(c)
		wanted := s.declarer.wants(c.to.exchange)
		for i := range c.items {
			switch it := &c.items[i]; {
			case it.returned == "":
			case c.to.exists:
				return nil, 0, events.Errorf(events.CodeNotFound, "RabbitMQ has no queue %s", c.to.queue)
			case c.to.queue != "" || wanted.match(it.key):
				again[i] = true
			case c.to.mandatory:
				return nil, 0, unroutable(c.to.exchange, it.key, it.returned)
			}
		}
	}
	// The sender still reads the items of this call, so they are copied.
	for i := range c.items {
		if again[i] {
			left = append(left, c.items[i])
		}
	}
	return left, refused, nil
}

// setMandatory marks the messages that must reach a queue, and reports whether there are any.
func (s *sender) setMandatory(to destination, items []item) (anyone bool) {
	if to.mandatory {
		for i := range items {
			items[i].mandatory = true
		}
		return true
	}
	wanted := s.declarer.wants(to.exchange)
	for i := range items {
		items[i].mandatory = wanted.match(items[i].key)
		anyone = anyone || items[i].mandatory
	}
	return anyone
}

func (d destination) name() string {
	if d.queue != "" {
		return "queue " + d.queue
	}
	return "exchange " + d.exchange
}

// declareOn runs a declaration on a channel of its own, as the broker closes a channel on
// which it refuses one.
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
