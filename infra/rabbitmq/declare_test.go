package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

// A stop does not wait for a broker that is unreachable.
func TestSubscriber_Declare_EndsWithItsSubscriber(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, b *bench, s router.Subscriber) error{
		"drained":       func(t *testing.T, _ *bench, s router.Subscriber) error { return s.Drain(t.Context()) },
		"closed":        func(_ *testing.T, _ *bench, s router.Subscriber) error { return s.Close() },
		"broker closed": func(_ *testing.T, b *bench, _ router.Subscriber) error { return b.broker.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.proxy.Down()
			eventually(t, "the broker is unreachable", func() bool { return b.broker.Ready() != nil })
			s, err := b.broker.Subscriber(router.Subscription{Handler: "h", Topic: "user.events", Types: []string{"USER_CREATED"}, Queue: "q"})
			if err != nil {
				t.Fatal(err)
			}
			declared := make(chan error, 1)
			go func() { declared <- s.Declare(context.Background()) }()
			if err := end(t, b, s); err != nil {
				t.Error(err)
			}
			select {
			case err := <-declared:
				wantCode(t, err, events.CodeShuttingDown)
			case <-time.After(patience):
				t.Fatal("Declare still waits for the broker")
			}
			_, err = s.Subscribe(t.Context(), "user.events")
			wantCode(t, err, events.CodeShuttingDown)
		})
	}
}

// A type that a handler has once subscribed to does not come any more, though a publisher
// declares everything again; whatever is not bound may be unbound.
func TestSubscriber_Declare_RemovesBindings(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old := b.subscriber(func(c *router.Subscription) { c.Types = []string{"USER_CREATED", "USER_GONE", "#.OLD"} })
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	sub := b.subscriber(func(c *router.Subscription) { c.Unbind = []string{"USER_GONE", "#.OLD", "NEVER_BOUND", "USER_CREATED"} })
	p := b.broker.Publisher()
	for _, kind := range []string{"USER_GONE", "A.OLD", "USER_CREATED"} {
		msg := created(kind)
		msg.Metadata.Set(events.MetaType, kind)
		if err := p.Publish("user.events", msg); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.depth("q"); n != 1 {
		t.Errorf("%d of 3 messages are in the queue, want that of USER_CREATED alone", n)
	}
	if err := sub.Declare(t.Context()); err != nil {
		t.Errorf("declared again: %v", err)
	}
}

// A network that drops everything delays a declaration no longer than its context allows,
// however late the heartbeat notices.
func TestSubscriber_Declare_HonoursContextWithoutAnswer(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *rabbitmq.Config) { c.Heartbeat = time.Hour })
	eventually(t, "connected", func() bool { return b.broker.Ready() == nil })
	s, err := b.broker.Subscriber(router.Subscription{Handler: "h", Topic: "user.events", Types: []string{"USER_CREATED"}, Queue: "q"})
	if err != nil {
		t.Fatal(err)
	}
	resume := b.proxy.Stall()
	declared := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	go func() { declared <- s.Declare(ctx) }()
	select {
	case err := <-declared:
		wantCode(t, err, events.CodeUnavailable)
	case <-time.After(patience):
		t.Error("Declare still waits for an answer")
	}
	resume()
}

// A connection that the broker refuses says nothing about the queue: the router must not
// take it for one that exists with other arguments, and go on without it.
func TestSubscriber_Declare_WrongPassword(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *rabbitmq.Config) {
		c.URL = brokertest.WithPassword(t, c.URL, "geheim")
	})
	eventually(t, "Ready reports a wrong setting", func() bool { return events.CodeOf(b.broker.Ready()) == events.CodeConfig })
	s, err := b.broker.Subscriber(router.Subscription{Handler: "h", Topic: "user.events", Types: []string{"USER_CREATED"}, Queue: "q"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	wantCode(t, s.Declare(ctx), events.CodeUnavailable)
}
