package rabbitmq

import (
	"context"
	"errors"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

var _ router.Transport = (*Broker)(nil)

// Broker is a client of a RabbitMQ broker, and a [router.Transport]. Its methods are safe
// for concurrent use.
type Broker struct {
	cfg      Config
	publish  *link
	consume  *link
	declarer *declarer
	sender   *sender
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu          sync.Mutex
	connected   bool
	blocked     bool
	closed      bool
	subscribers map[*Subscriber]struct{}
}

// Open checks the configuration and starts to connect. It does not wait for the broker:
// [Broker.Ready] reports when it is connected. An error has the code CONFIG and names the
// field of [Config]. Close must be called in the end.
func Open(cfg Config) (*Broker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Broker{cfg: cfg, stop: cancel, subscribers: make(map[*Subscriber]struct{})}
	b.publish = newLink(cfg, "publish", b.changed)
	b.consume = newLink(cfg, "consume", b.changed)
	b.declarer = newDeclarer(cfg)
	b.sender = newSender(cfg, b.publish, b.consume, b.declarer)
	b.running.Go(func() { b.publish.run(ctx) })
	b.running.Go(func() { b.consume.run(ctx) })
	b.running.Go(func() { b.sender.run(ctx) })
	b.running.Go(func() { b.declarer.run(ctx, b.consume) })
	return b, nil
}

// changed calls OnState and OnBlocked if their values have changed.
func (b *Broker) changed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.connections() == nil; now != b.connected {
		b.connected = now
		b.cfg.OnState(now)
	}
	if now := b.publish.whyBlocked() != ""; now != b.blocked {
		b.blocked = now
		b.cfg.OnBlocked(now)
	}
}

// connections returns nil while both connections are open, else why one is not.
func (b *Broker) connections() error {
	for _, l := range []*link{b.publish, b.consume} {
		if _, err := l.state(); err != nil {
			return err
		}
	}
	return nil
}

// Ready returns nil while both connections are open and the broker accepts messages, else
// why not: with the code CONFIG if the broker refuses user or vhost, else with
// UNAVAILABLE. That the broker blocks publishers is known within some seconds, though nothing
// is published meanwhile.
func (b *Broker) Ready() error {
	if err := b.connections(); err != nil {
		return err
	}
	if reason := b.publish.whyBlocked(); reason != "" {
		return events.Errorf(events.CodeUnavailable, "RabbitMQ at %s blocks publishers: %s", b.cfg.Address(), reason).MayRetry().
			WithHint("see the broker's alarms: rabbitmq-diagnostics alarms")
	}
	return nil
}

// Publisher returns a publisher to exchanges: its topic is an exchange's name without the
// namespace, such as user.events, and the metadata "type" of a message is its routing key.
//
// Publish returns when the broker has confirmed all messages of the call, or when the
// context of one of them ends. It waits while there is no connection and while the broker
// blocks publishers. It may be called concurrently; calls do not wait for one another.
// Messages of one call are sent in order, and so are those of consecutive calls. A message
// that the broker refuses temporarily is sent again, and then comes after later messages
// of its call that the broker had confirmed already: so a queue that is full and rejects
// (a policy with max-length and reject-publish), or has no leader, breaks the order. The
// codes of its errors:
//
//   - UNHANDLED: no queue is bound for a command (topic *.commands) of that type, or for
//     an event that a subscriber of this Broker wants, though its queue was declared again
//   - UNAVAILABLE: not published, as there is no connection or the broker blocks
//   - TIMEOUT: sent and not confirmed in time; whether the broker has it is unknown
//   - INVALID: AMQP cannot carry the message
//   - CONFIG: the exchange exists with other arguments, or the user may not declare it
//   - SHUTTING_DOWN: the publisher or the broker is closed
//
// Closing a publisher closes only itself.
func (b *Broker) Publisher() message.Publisher {
	return &publisher{sender: b.sender, route: b.exchangeRoute}
}

// QueuePublisher returns a publisher straight into queues: its topic is a queue's name
// without the namespace. A queue that does not exist is declared: as its subscriber does, if
// this Broker has one, else as for one that is not Ordered. Otherwise it is like
// [Broker.Publisher].
func (b *Broker) QueuePublisher() message.Publisher {
	return &publisher{sender: b.sender, route: b.queueRoute}
}

// Subscriber returns a subscriber of a queue, and declares nothing yet. The types of the
// subscription are binding keys: message types, or patterns such as "#". An error has the
// code CONFIG.
func (b *Broker) Subscriber(cfg router.Subscription) (router.Subscriber, error) {
	cfg, err := checked(cfg)
	if err != nil {
		return nil, err
	}
	s := newSubscriber(b, cfg)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	b.subscribers[s] = struct{}{}
	return s, nil
}

func (b *Broker) forget(s *Subscriber) {
	b.declarer.remove(s.cfg)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subscribers, s)
}

// Close closes the subscribers that are left, as [Subscriber.Close] does, and then the
// connections, within a few seconds. A Publish in progress returns an error. It may be
// called again.
func (b *Broker) Close() error {
	b.mu.Lock()
	b.closed = true
	var open []*Subscriber
	for s := range b.subscribers {
		open = append(open, s)
	}
	b.mu.Unlock()
	var closing sync.WaitGroup
	errs := make([]error, len(open))
	for i, s := range open {
		closing.Go(func() { errs[i] = s.Close() })
	}
	closing.Wait()
	b.stop()
	b.running.Wait()
	return errors.Join(errs...)
}
