package rabbitmq_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

// deletable makes queues that may be deleted right after they are declared. RabbitMQ 3.10 does
// not survive that with quorum queues: it then cannot start a dead-letter worker for any
// queue, until it is restarted.
func deletable(c *rabbitmq.Config) { c.QueueType = rabbitmq.Classic }

// Whatever is deleted while nobody looks: a confirmed event is in the queue of every handler
// that this process knows.
func TestPublisher_RepairsTopology(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(b *bench) error{
		"the exchange is deleted": func(b *bench) error {
			return b.plain.ExchangeDelete(b.ns+".user.events", false, false)
		},
		"the exchange is deleted and declared again by another": func(b *bench) error {
			return errors.Join(b.plain.ExchangeDelete(b.ns+".user.events", false, false),
				b.plain.ExchangeDeclare(b.ns+".user.events", "topic", true, false, false, false, nil))
		},
		"the bindings are deleted": func(b *bench) error {
			return errors.Join(b.plain.QueueUnbind(b.ns+".q", "USER_CREATED", b.ns+".user.events", nil),
				b.plain.QueueUnbind(b.ns+".other", "USER_#", b.ns+".user.events", nil),
				b.plain.QueueUnbind(b.ns+".other", "*", b.ns+".user.events", nil))
		},
		"the queues are deleted": func(b *bench) error {
			var errs []error
			for _, queue := range []string{".q", ".q.poison", ".other", ".other.poison"} {
				_, err := b.plain.QueueDelete(b.ns+queue, false, false, false)
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, deletable)
			b.subscriber()
			b.subscriber(func(c *router.Subscription) { c.Queue, c.Types = "other", []string{"USER_#", "*"} })
			p := b.broker.Publisher()
			if err := p.Publish("user.events", created("before")); err != nil {
				t.Fatal(err)
			}
			for _, queue := range []string{".q", ".other"} {
				if _, err := b.plain.QueuePurge(b.ns+queue, false); err != nil {
					t.Fatal(err)
				}
			}
			if err := broken(b); err != nil {
				t.Fatal(err)
			}
			var msgs []*message.Message
			for _, id := range ids(2000) {
				msgs = append(msgs, created(id))
			}
			if err := p.Publish("user.events", msgs...); err != nil {
				t.Fatal(err)
			}
			for _, queue := range []string{"q", "other"} {
				if missing := b.missing(queue, msgs); len(missing) > 0 {
					t.Errorf("%d of %d events are confirmed and not in the queue %s", len(missing), len(msgs), queue)
				}
			}
		})
	}
}

// missing empties a queue, and returns the messages that were not in it.
func (b *bench) missing(queue string, msgs []*message.Message) map[string]bool {
	b.t.Helper()
	out := map[string]bool{}
	for _, msg := range msgs {
		out[msg.UUID] = true
	}
	for {
		d, ok, err := b.plain.Get(b.ns+"."+queue, true)
		if err != nil {
			b.t.Fatal(err)
		}
		if !ok {
			return out
		}
		delete(out, d.MessageId)
	}
}

// A binding that is lost while another handler still receives the type is restored, though
// no message is returned.
func TestBroker_DeclaresAgainByItself(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *rabbitmq.Config) { c.DeclareEvery = 50 * time.Millisecond })
	b.subscriber()
	b.subscriber(func(c *router.Subscription) { c.Queue = "other" })
	if err := b.plain.QueueUnbind(b.ns+".q", "USER_CREATED", b.ns+".user.events", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue receives again", func() bool {
		if err := b.broker.Publisher().Publish("user.events", created("1")); err != nil {
			t.Fatal(err)
		}
		return b.depth("q") > 0
	})
}

// An event that a handler wants and that cannot be routed is an error, which may be tried
// again, and no confirm; an event that nobody wants is none.
func TestPublisher_UnroutableEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t, deletable)
	b.subscriber()
	if _, err := b.plain.QueueDelete(b.ns+".q", false, false, false); err != nil {
		t.Fatal(err)
	}
	// Another connection has the queue to itself, until it ends.
	conn, ch := b.direct(t)
	if _, err := ch.QueueDeclare(b.ns+".q", false, false, true, false, nil); err != nil {
		t.Fatal(err)
	}
	p := b.broker.Publisher()
	err := p.Publish("user.events", created("1"))
	wantCode(t, err, events.CodeUnhandled)
	var e *events.Error
	if !errors.As(err, &e) || !e.Retryable || e.Hint == "" {
		t.Errorf("the error should say what to do, and may be tried again: %+v", e)
	}
	other := created("2")
	other.Metadata.Set(events.MetaType, "USER_DEACTIVATED")
	if err := p.Publish("user.events", other); err != nil {
		t.Errorf("an event that nobody wants: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is published", func() bool { return p.Publish("user.events", created("1")) == nil })
	if got := b.depth("q"); got != 1 {
		t.Errorf("%d messages are in the queue, want 1", got)
	}
}

// A command whose handler is known here finds its queue again; one whose handler is not is
// refused as before.
func TestPublisher_RepairsCommandQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.subscriber(func(c *router.Subscription) { c.Topic, c.Types = "user.commands", []string{"CREATE_USER"} })
	if err := b.plain.ExchangeDelete(b.ns+".user.commands", false, false); err != nil {
		t.Fatal(err)
	}
	p := b.broker.Publisher()
	for kind, code := range map[string]string{"CREATE_USER": "", "DELETE_USER": events.CodeUnhandled} {
		msg := created("1")
		msg.Metadata.Set(events.MetaType, kind)
		if err := p.Publish("user.commands", msg); events.CodeOf(err) != code && err != nil || (code == "") != (err == nil) {
			t.Errorf("%s: %v, want the code %q", kind, err, code)
		}
	}
	if got := b.depth("q"); got != 1 {
		t.Errorf("%d commands are in the queue, want 1", got)
	}
}

// A subscription that the broker refuses holds up no event for others: Ready names it.
func TestPublisher_QueueThatCannotBeDeclared(t *testing.T) {
	t.Parallel()
	b := newBench(t, deletable, func(c *rabbitmq.Config) { c.DeclareEvery = 50 * time.Millisecond })
	sub := b.subscriber()
	eventually(t, "another is faster to declare the queue", func() bool {
		conn, ch := b.direct(t)
		defer func() { _ = conn.Close() }()
		_, err := ch.QueueDelete(b.ns+".q", false, false, false)
		if err == nil {
			_, err = ch.QueueDeclare(b.ns+".q", true, false, false, false, amqp.Table{"x-max-length": 7})
		}
		return err == nil
	})
	if err := b.broker.Publisher().Publish("user.events", created("1")); err != nil {
		t.Errorf("Publish: %v", err)
	}
	eventually(t, "Ready names the queue", func() bool { return events.CodeOf(sub.Ready()) == events.CodeConfig })
	if _, err := b.plain.QueueDelete(b.ns+".q", false, false, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue is declared by itself", func() bool { return events.CodeOf(sub.Ready()) != events.CodeConfig })
	if err := b.broker.Publisher().Publish("user.events", created("1")); err != nil || b.depth("q") != 1 {
		t.Errorf("after it is mended, Publish: %v, and %d messages are in the queue", err, b.depth("q"))
	}
}

// A queue that a publisher declares in place of its subscriber is as the subscriber wants it.
func TestQueuePublisher_DeclaresAsItsSubscriber(t *testing.T) {
	t.Parallel()
	b := newBench(t, deletable)
	sub := b.subscriber(func(c *router.Subscription) { c.Ordered = true })
	if _, err := b.plain.QueueDelete(b.ns+".q", false, false, false); err != nil {
		t.Fatal(err)
	}
	if err := b.broker.QueuePublisher().Publish("q", created("1")); err != nil {
		t.Fatal(err)
	}
	if err := sub.Declare(t.Context()); err != nil {
		t.Errorf("the subscriber would declare it otherwise: %v", err)
	}
	if err := b.plain.Publish(b.ns+".user.events", "USER_CREATED", false, false, amqp.Publishing{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is bound, too", func() bool { return b.depth("q") == 2 })
}

// However the calls and their messages are interleaved, each call learns of its own returns.
func TestPublisher_ReturnsOfManyCalls(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *rabbitmq.Config) { c.MaxUnconfirmed = 64 })
	b.subscriber(func(c *router.Subscription) { c.Topic, c.Types = "user.commands", []string{"CREATE_USER"} })
	p := b.broker.Publisher()
	failed := make(chan error, 32)
	for i := range cap(failed) {
		go func() {
			var msgs []*message.Message
			for j := range 100 {
				msg := created(fmt.Sprint(i, "-", j))
				msg.Metadata.Set(events.MetaType, "CREATE_USER")
				msgs = append(msgs, msg)
			}
			if i%2 == 0 {
				msgs[99].Metadata.Set(events.MetaType, "DELETE_USER")
			}
			if err := p.Publish("user.commands", msgs...); (err != nil) != (i%2 == 0) {
				failed <- fmt.Errorf("call %d: %w", i, err)
				return
			}
			failed <- nil
		}()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// Many calls find at the same time that a binding is missing.
func TestPublisher_RepairsForManyCalls(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *rabbitmq.Config) { c.MaxUnconfirmed = 64 })
	b.subscriber()
	b.subscriber(func(c *router.Subscription) { c.Queue = "other" })
	p := b.broker.Publisher()
	if err := p.Publish("user.events", created("before")); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var msgs []*message.Message
	for _, queue := range []string{".q", ".other"} {
		if err := b.plain.QueueUnbind(b.ns+queue, "USER_CREATED", b.ns+".user.events", nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 32 {
		var call []*message.Message
		for _, id := range ids(20) {
			call = append(call, created(id))
		}
		msgs = append(msgs, call...)
		all.Go(func() {
			if err := p.Publish("user.events", call...); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, queue := range []string{"q", "other"} {
		if missing := b.missing(queue, msgs); len(missing) > 0 {
			t.Errorf("%d of %d events are confirmed and not in the queue %s", len(missing), len(msgs), queue)
		}
	}
}
