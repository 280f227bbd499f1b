package rabbitmq

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// declarer knows the subscriptions of a [Broker] and declares what they need: when their
// subscriber asks for it, when a publisher declares an exchange that they are bound to, when
// the broker returns a message that one of them wants, and every now and then, so that what
// somebody deletes is mended.
type declarer struct {
	cfg Config
	// one is held while a subscription is declared. If the same new quorum queue is
	// declared twice concurrently, as a poison queue by its two subscribers, RabbitMQ
	// closes the connection with an internal error.
	one sync.Mutex
	// wanted has the keys that subscriptions are bound with, by exchange.
	wanted atomic.Pointer[map[string]*bindingKeys]

	mu   sync.Mutex
	subs map[*declaration]struct{}
}

// declaration is a subscription that a declarer knows.
type declaration struct {
	router.Subscription

	mu      sync.Mutex
	refused error // why the broker refuses to declare it, with the code CONFIG; nil: it does not
}

func newDeclarer(cfg Config) *declarer {
	return &declarer{cfg: cfg, subs: map[*declaration]struct{}{}}
}

// add makes a subscription known. It may be called again.
func (d *declarer) add(sub *declaration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.subs[sub]; !known {
		d.subs[sub] = struct{}{}
		d.update()
	}
}

// remove ends add. What is declared stays.
func (d *declarer) remove(sub *declaration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.subs, sub)
	d.update()
}

// update is called with mu held. A subscription that the broker refuses wants nothing: the
// messages that it misses meanwhile must not hold up those for others.
func (d *declarer) update() {
	wanted := map[string]*bindingKeys{}
	for sub := range d.subs {
		if sub.Topic == "" || sub.refusal() != nil {
			continue
		}
		exchange := d.cfg.qualify(sub.Topic)
		if wanted[exchange] == nil {
			wanted[exchange] = &bindingKeys{}
		}
		for _, key := range sub.Types {
			wanted[exchange].add(key)
		}
	}
	d.wanted.Store(&wanted)
}

// wants returns the keys that known subscriptions are bound to an exchange with.
func (d *declarer) wants(exchange string) *bindingKeys {
	if all := d.wanted.Load(); all != nil {
		return (*all)[exchange]
	}
	return nil
}

// refusal returns why the broker refuses to declare the subscription, or nil.
func (s *declaration) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// declare declares what a subscription needs.
func (d *declarer) declare(ch *amqp.Channel, sub *declaration) error {
	d.one.Lock()
	err := d.cfg.declare(ch, sub.Subscription)
	d.one.Unlock()
	if code := events.CodeOf(err); err != nil && code != events.CodeConfig {
		return err // Nothing is known about the subscription.
	}
	sub.mu.Lock()
	changed := (sub.refused == nil) != (err == nil)
	sub.refused = err
	sub.mu.Unlock()
	if !changed {
		return err
	}
	d.mu.Lock()
	d.update()
	d.mu.Unlock()
	log := d.cfg.Logger.With(slog.String("handler", sub.Handler), slog.String("queue", d.cfg.qualify(sub.Queue)))
	if err != nil {
		log.Error("queue cannot be declared, its handler may miss messages until that is fixed", slog.Any("error", err))
	} else {
		log.Info("queue is declared again")
	}
	return err
}

// declareAll declares the known subscriptions that are chosen, each on a channel of its own.
// One that fails holds up no other.
func (d *declarer) declareAll(conn *amqp.Connection, chosen func(*declaration) bool) {
	d.mu.Lock()
	var subs []*declaration
	for sub := range d.subs {
		if chosen(sub) {
			subs = append(subs, sub)
		}
	}
	d.mu.Unlock()
	for _, sub := range subs {
		err := declareOn(conn, func(ch *amqp.Channel) error { return d.declare(ch, sub) })
		if err != nil && events.CodeOf(err) != events.CodeConfig { // Otherwise it is logged.
			d.cfg.Logger.Warn("queue is not declared, trying again", slog.String("queue", d.cfg.qualify(sub.Queue)), slog.Any("error", err))
		}
	}
}

// boundTo chooses the subscriptions that are bound to an exchange.
func (d *declarer) boundTo(exchange string) func(*declaration) bool {
	return func(sub *declaration) bool { return sub.Topic != "" && d.cfg.qualify(sub.Topic) == exchange }
}

// of returns a known subscription of a queue, or nil.
func (d *declarer) of(queue string) *declaration {
	d.mu.Lock()
	defer d.mu.Unlock()
	for sub := range d.subs {
		if d.cfg.qualify(sub.Queue) == queue {
			return sub
		}
	}
	return nil
}

// run declares all known subscriptions every now and then, until ctx ends.
func (d *declarer) run(ctx context.Context, l *link) {
	tick := time.NewTicker(d.cfg.DeclareEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		conn, err := l.await(ctx)
		if err != nil {
			return
		}
		d.declareAll(conn, func(*declaration) bool { return true })
	}
}
