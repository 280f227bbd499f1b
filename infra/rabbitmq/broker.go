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

// Broker is a RabbitMQ broker: a [router.Transport]. Its methods are safe for concurrent use.
type Broker struct {
	cfg     Config
	publish *link
	consume *link
	sender  *sender
	stop    context.CancelFunc
	running sync.WaitGroup

	declaring sync.Mutex // held while something is declared

	mu          sync.Mutex
	connected   bool
	blocked     bool
	closed      bool
	subscribers map[*Subscriber]struct{}
}

// Open checks the configuration and begins to connect. It does not wait for the
// broker: [Broker.Ready] tells when it is there. An error has the code CONFIG.
func Open(cfg Config) (*Broker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Broker{cfg: cfg, stop: cancel, subscribers: make(map[*Subscriber]struct{})}
	b.publish = newLink(cfg, "publish", b.changed)
	b.consume = newLink(cfg, "consume", b.changed)
	b.sender = newSender(cfg, b.publish)
	b.running.Go(func() { b.publish.run(ctx) })
	b.running.Go(func() { b.consume.run(ctx) })
	b.running.Go(func() { b.sender.run(ctx) })
	return b, nil
}

// changed tells OnState and OnBlocked when their answers change.
func (b *Broker) changed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.stands() == nil; now != b.connected {
		b.connected = now
		b.cfg.OnState(now)
	}
	if now := b.publish.whyBlocked() != ""; now != b.blocked {
		b.blocked = now
		b.cfg.OnBlocked(now)
	}
}

// stands returns nil while both connections stand, else why one does not.
func (b *Broker) stands() error {
	for _, l := range []*link{b.publish, b.consume} {
		if _, err := l.state(); err != nil {
			return err
		}
	}
	return nil
}

// Ready returns nil while both connections stand and the broker takes messages,
// else why not: with the code CONFIG if the broker refuses user or vhost, else with
// UNAVAILABLE. That it takes none it tells only those who publish.
func (b *Broker) Ready() error {
	if err := b.stands(); err != nil {
		return err
	}
	if reason := b.publish.whyBlocked(); reason != "" {
		return events.Errorf(events.CodeUnavailable, "RabbitMQ at %s takes no messages for now: %s", b.cfg.address(), reason).MayRetry().
			WithHint("see the broker's alarms: rabbitmq-diagnostics alarms")
	}
	return nil
}

// Publisher publishes to exchanges: its topic is the name of one without its
// namespace, such as user.events, and the metadata "type" of a message is its
// routing key.
//
// Publish returns when the broker has confirmed all messages of the call, or when
// the context of one of them is over. It waits while there is no connection and
// while the broker takes nothing. Any number of goroutines may call it, and calls
// do not wait for one another. Messages of one call are sent in their order, and
// so are those of calls that follow one another. One that the broker refuses for a
// while is sent again and comes behind later ones of its call, which the broker had
// taken before its refusal was known: so a queue that is full and rejects (a policy
// with max-length and reject-publish), or has no leader, breaks the order. The codes
// of its errors:
//
//   - UNHANDLED: no queue takes a command (topic *.commands) of that type
//   - UNAVAILABLE: not published, as there is no connection or the broker blocks
//   - TIMEOUT: sent and not confirmed in time; whether the broker has it is unknown
//   - INVALID: AMQP cannot carry the message; CONFIG: the exchange is another's
//   - SHUTTING_DOWN: the publisher is closed
//
// Closing a publisher closes only itself.
func (b *Broker) Publisher() message.Publisher {
	return &publisher{sender: b.sender, route: b.exchangeRoute}
}

// QueuePublisher publishes straight into queues: its topic is the name of one
// without its namespace. A queue that does not exist is declared, durable. It is
// otherwise like [Broker.Publisher].
func (b *Broker) QueuePublisher() message.Publisher {
	return &publisher{sender: b.sender, route: b.queueRoute}
}

// Subscriber prepares consuming; [Subscriber.Subscribe] begins it. An error has
// the code CONFIG.
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
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subscribers, s)
}

// Close closes what subscribers are left, as [Subscriber.Close] does, and then
// the connections. A Publish that is under way returns an error. It takes a few
// seconds at most. It may be called again.
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
