package rabbitmq

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// link is one connection that is opened again whenever it breaks.
type link struct {
	cfg     Config
	purpose string // "publish" or "consume", for the log and the broker's list
	// publishes is whether the connection is told of alarms.
	publishes bool
	changed   func() // called after every change, with no lock held

	mu      sync.Mutex
	conn    *amqp.Connection // nil while there is none
	err     error            // why there is none
	changes chan struct{}    // closed and replaced at every change
	blocked string           // why the broker blocks publishers; empty: it does not

	blocks atomic.Bool // whether blocked is set
}

func newLink(cfg Config, purpose string, changed func()) *link {
	return &link{
		cfg: cfg, purpose: purpose, publishes: purpose == "publish", changed: changed,
		changes: make(chan struct{}),
		err: events.Errorf(events.CodeUnavailable, "RabbitMQ at %s has not answered yet", cfg.Address()).MayRetry().
			WithHint("wait longer, or check user and password of the URL: RabbitMQ takes three seconds to refuse wrong ones"),
	}
}

// run keeps the link connected until ctx ends, and then closes it.
func (l *link) run(ctx context.Context) {
	log := l.cfg.Logger.With(slog.String("broker", l.cfg.Address()), slog.String("connection", l.purpose))
	pause := backoff.Backoff{Min: l.cfg.MinBackoff, Max: l.cfg.MaxBackoff}
	var loggedAt time.Time
	for attempt := 1; ctx.Err() == nil; attempt++ {
		conn, socket, err := l.dial(ctx)
		if err != nil {
			l.set(nil, l.explain(err))
			if attempt == 1 || time.Since(loggedAt) >= 3*time.Second {
				loggedAt = time.Now()
				log.Warn("RabbitMQ is not reachable, trying again", slog.Int("attempt", attempt), slog.Any("error", err))
			}
			if !pause.Wait(ctx) {
				break
			}
			continue
		}
		closed := conn.NotifyClose(make(chan *amqp.Error, 1))
		blockings := conn.NotifyBlocked(make(chan amqp.Blocking, 8))
		l.set(conn, nil)
		log.Info("connected to RabbitMQ", slog.Int("attempts", attempt))
		since := time.Now()
		asking, stop := context.WithCancel(ctx)
		var asked sync.WaitGroup
		if l.publishes {
			asked.Go(func() { l.askForAlarms(asking, conn, log) })
		}
		reason := l.watch(ctx, closed, blockings, log)
		stop()
		if l.blocks.Load() {
			_ = socket.Close() // The broker does not read, so it would not answer connection.close.
		}
		l.set(nil, l.explain(reason))
		l.close(conn, socket)
		asked.Wait()
		if ctx.Err() != nil {
			break
		}
		log.Warn("connection to RabbitMQ lost, connecting again", slog.Any("error", reason))
		// A broker that accepts connections and drops them at once gets the longer pauses.
		if time.Since(since) > l.cfg.MaxBackoff {
			pause.Reset()
		}
		if !pause.Wait(ctx) {
			break
		}
		attempt = 0
	}
	l.set(nil, errClosed)
}

// watch returns why the connection ended, or nil if ctx ended first.
func (l *link) watch(ctx context.Context, closed <-chan *amqp.Error, blockings <-chan amqp.Blocking, log *slog.Logger) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case b, ok := <-blockings:
			if !ok {
				blockings = nil
				continue
			}
			reason := ""
			if b.Active {
				reason = "the broker is short of a resource"
				if b.Reason != "" {
					reason = b.Reason
				}
				log.Warn("RabbitMQ blocks publishers", slog.String("reason", reason))
			} else {
				log.Info("RabbitMQ accepts messages again")
			}
			l.setBlocked(reason)
		case err, ok := <-closed:
			if !ok || err == nil {
				return errors.New("the connection was closed")
			}
			return err
		}
	}
}

// dial also returns the socket of the connection, so that it can be closed when the
// broker no longer answers.
func (l *link) dial(ctx context.Context) (*amqp.Connection, *socket, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(l.cfg.qualify(l.cfg.AppID + " " + l.purpose))
	var s *socket
	stop := func() bool { return true }
	conn, err := amqp.DialConfig(l.cfg.URL, amqp.Config{
		Heartbeat:  l.cfg.Heartbeat,
		Properties: properties,
		Dial: dialer(ctx, 3*l.cfg.Heartbeat, func(opened *socket) {
			s = opened
			stop = context.AfterFunc(ctx, func() { _ = opened.Close() })
		}),
	})
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if s != nil {
			_ = s.Close()
		}
		return nil, nil, err
	}
	return conn, s, nil
}

// close closes a connection, with the AMQP handshake if the broker answers.
func (l *link) close(conn *amqp.Connection, s *socket) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = conn.CloseDeadline(time.Now().Add(2 * time.Second)) // It may be closed already.
	}()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
	}
	_ = s.Close()
	<-done
}

// explain names the broker in an error, and distinguishes a wrong setting from a broker
// that is unreachable.
func (l *link) explain(err error) error {
	if err == nil {
		return errClosed
	}
	var a *amqp.Error
	if errors.As(err, &a) && (a.Code == amqp.AccessRefused || a.Code == amqp.NotAllowed) {
		return events.Errorf(events.CodeConfig, "RabbitMQ at %s refuses the connection: %w", l.cfg.Address(), err).
			WithField("URL").WithHint("check user, password and vhost of the URL")
	}
	return events.Errorf(events.CodeUnavailable, "RabbitMQ at %s is not reachable: %w", l.cfg.Address(), err).MayRetry()
}

func (l *link) set(conn *amqp.Connection, err error) {
	l.change(func() { l.conn, l.err, l.blocked = conn, err, "" })
}

func (l *link) setBlocked(reason string) {
	l.change(func() { l.blocked = reason })
}

func (l *link) change(set func()) {
	l.mu.Lock()
	set()
	l.blocks.Store(l.blocked != "")
	close(l.changes)
	l.changes = make(chan struct{})
	l.mu.Unlock()
	l.changed()
}

// state returns the connection, or why there is none.
func (l *link) state() (*amqp.Connection, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn, l.err
}

// whyBlocked returns why the broker blocks publishers; empty if it does not.
func (l *link) whyBlocked() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blocked
}

// await returns a connection. If ctx ends first, it returns why there is none.
func (l *link) await(ctx context.Context) (*amqp.Connection, error) {
	for {
		l.mu.Lock()
		conn, err, changes := l.conn, l.err, l.changes
		l.mu.Unlock()
		if conn != nil && !conn.IsClosed() {
			return conn, nil
		}
		if errors.Is(err, errClosed) {
			return nil, err
		}
		select {
		case <-changes:
		case <-ctx.Done():
			if err == nil {
				err = ctx.Err()
			}
			return nil, err
		}
	}
}

// awaitUnblocked returns true once the broker does not block publishers, and false if
// done is closed first.
func (l *link) awaitUnblocked(done <-chan struct{}) bool {
	for {
		l.mu.Lock()
		blocked, changes := l.blocked, l.changes
		l.mu.Unlock()
		if blocked == "" {
			return true
		}
		select {
		case <-changes:
		case <-done:
			return false
		}
	}
}
