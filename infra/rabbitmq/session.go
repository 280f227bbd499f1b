package rabbitmq

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
)

// session is one AMQP channel in confirm mode. Only the sender's goroutine calls its
// methods, except where noted.
type session struct {
	conn     *amqp.Connection
	channel  *amqp.Channel
	cfg      Config
	link     *link
	consume  *link // that subscriptions are declared on, as the broker never blocks it
	declarer *declarer
	closed   chan struct{}   // closed when the channel is
	declared map[string]bool // exchanges and queues, on this channel
	binds    map[string]int  // of the sender

	// unconfirmed are the messages sent and not yet confirmed, oldest first, in a ring.
	unconfirmed []unconfirmed
	head, count int

	returns returns

	mu     sync.Mutex
	reason error // why the broker closed the channel
}

type unconfirmed struct {
	call    *call
	confirm *amqp.DeferredConfirmation
}

func openSession(conn *amqp.Connection, from *sender) (*session, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		_ = ch.Close() // The first error is the one to report.
		return nil, err
	}
	s := &session{
		conn: conn, channel: ch, cfg: from.cfg, link: from.link, consume: from.consume, declarer: from.declarer, binds: from.binds,
		closed:      make(chan struct{}),
		declared:    make(map[string]bool),
		unconfirmed: make([]unconfirmed, from.cfg.MaxUnconfirmed),
	}
	reasons := ch.NotifyClose(make(chan *amqp.Error, 1))
	go func() { // It ends with the channel.
		if err := <-reasons; err != nil {
			s.mu.Lock()
			s.reason = err
			s.mu.Unlock()
		}
		close(s.closed)
	}()
	s.returns.listen(ch)
	return s, nil
}

// close returns why the broker closed the channel, or nil if it did not.
func (s *session) close() error {
	_ = s.channel.Close() // It may be closed already.
	<-s.closed
	s.returns.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// refusal returns why the broker closed the channel and kept the connection, or nil. Any
// goroutine may call it once a confirm has failed.
func (s *session) refusal() error {
	if !s.channel.IsClosed() {
		return nil
	}
	<-s.closed
	s.mu.Lock()
	defer s.mu.Unlock()
	var a *amqp.Error
	if errors.As(s.reason, &a) && a.Code != amqp.ConnectionForced && !s.conn.IsClosed() {
		return a
	}
	return nil
}

// serve publishes until the channel is closed or ctx ends.
func (s *session) serve(ctx context.Context, calls <-chan *call) {
	for {
		select {
		case c := <-calls:
			s.write(c)
		case <-s.closed:
			return
		case <-ctx.Done():
			return
		}
	}
}

// write sends the messages of a call, as far as possible.
func (s *session) write(c *call) {
	defer close(c.written)
	if !c.start(s) {
		return
	}
	if c.err = s.declare(c.to, c.ctx.Done()); c.err != nil {
		if s.channel.IsClosed() || s.conn.IsClosed() {
			c.err = nil // Nothing was sent, and the caller tries again.
		}
		return
	}
	c.binds = s.binds[c.to.exchange]
	for i := range c.items {
		it := &c.items[i]
		if s.link.blocks.Load() && !s.link.awaitUnblocked(s.closed) || !s.makeRoom() || !c.begin() {
			return
		}
		confirm, err := s.channel.PublishWithDeferredConfirm(c.to.exchange, it.key, it.mandatory, false, it.publishing)
		if err != nil {
			return
		}
		it.confirm = confirm
		s.unconfirmed[(s.head+s.count)%len(s.unconfirmed)] = unconfirmed{c, confirm}
		s.count++
	}
}

// makeRoom waits until there is room for one more unconfirmed message. It returns
// false if the channel is closed.
func (s *session) makeRoom() bool {
	for s.count > 0 {
		oldest := &s.unconfirmed[s.head]
		confirm := oldest.confirm
		select {
		case <-confirm.Done():
		default:
			if s.count < len(s.unconfirmed) {
				return true
			}
			select {
			case <-confirm.Done():
			case <-oldest.call.ctx.Done(): // Its caller does not wait any more.
			case <-s.closed:
				return false
			}
		}
		*oldest = unconfirmed{}
		s.head = (s.head + 1) % len(s.unconfirmed)
		s.count--
	}
	return true
}

// declare declares the exchange once for each channel, with everything that is bound to it,
// and the queue where needed. done is closed when the caller does not wait any more.
func (s *session) declare(to destination, done <-chan struct{}) error {
	switch {
	case to.exchange != "" && (to.declare && to.binds == s.binds[to.exchange] || !s.declared[to.exchange]):
		if to.declare {
			s.cfg.Logger.Warn("RabbitMQ has no queue for a message that a handler here wants: declaring again what is bound to the exchange", slog.String("exchange", to.exchange))
		}
		// A message that is routed meanwhile reaches the queues that are bound already, and
		// is not returned.
		s.awaitConfirms(done)
		err := declareOn(s.conn, func(ch *amqp.Channel) error {
			var builder wamqp.DefaultTopologyBuilder
			return builder.ExchangeDeclare(ch, to.exchange, wamqp.Config{Exchange: exchange(to.exchange)})
		})
		if err != nil {
			return explainDeclare(err, "exchange", to.exchange)
		}
		s.declarer.declareAll(s.forDeclaring(), s.declarer.boundTo(to.exchange))
		s.declared[to.exchange] = true
		s.binds[to.exchange]++
	case to.queue != "" && (to.declare || to.delay != nil && !s.declared[to.queue]):
		if sub := s.declarer.of(to.queue); sub != nil {
			err := declareOn(s.forDeclaring(), func(ch *amqp.Channel) error { return s.declarer.declare(ch, sub) })
			if ours := (*events.Error)(nil); err != nil && !errors.As(err, &ours) {
				return explainDeclare(err, "queue", to.queue)
			}
			return err
		}
		queue := s.cfg.queue(to.queue, false)
		if to.delay != nil {
			queue = s.cfg.delayQueue(to.queue, *to.delay)
		}
		err := declareOn(s.conn, func(ch *amqp.Channel) error {
			var builder wamqp.DefaultTopologyBuilder
			return builder.BuildTopology(ch, to.queue, "", wamqp.Config{Queue: queue}, watermill.NopLogger{})
		})
		if err != nil {
			return explainDeclare(err, "queue", to.queue)
		}
		s.declared[to.queue] = true
	}
	return nil
}

// forDeclaring returns the connection that subscriptions are declared on.
func (s *session) forDeclaring() *amqp.Connection {
	if conn, _ := s.consume.state(); conn != nil {
		return conn
	}
	return s.conn
}

// awaitConfirms waits for a moment until everything that was sent is confirmed.
func (s *session) awaitConfirms(done <-chan struct{}) {
	moment := time.NewTimer(time.Second)
	defer moment.Stop()
	for i := range s.count {
		select {
		case <-s.unconfirmed[(s.head+i)%len(s.unconfirmed)].confirm.Done():
		case <-done:
			return
		case <-s.closed:
			return
		case <-moment.C:
			return
		}
	}
}
