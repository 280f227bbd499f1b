package rabbitmq_test

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

// A stop does not wait for a broker that is away.
func TestSubscribeInitializeEndsWithItsSubscriber(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, b *bench, s router.Subscriber) error{
		"drained":       func(t *testing.T, _ *bench, s router.Subscriber) error { return s.Drain(t.Context()) },
		"closed":        func(_ *testing.T, _ *bench, s router.Subscriber) error { return s.Close() },
		"broker closed": func(_ *testing.T, b *bench, _ router.Subscriber) error { return b.broker.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Without an end the test would last an hour.
			b := newBench(t, func(c *rabbitmq.Config) { c.PublishTimeout = time.Hour })
			b.proxy.Down()
			eventually(t, "the broker is away", func() bool { return b.broker.Ready() != nil })
			s, err := b.broker.Subscriber(router.Subscription{Handler: "h", Topic: "user.events", Types: []string{"USER_CREATED"}, Queue: "q"})
			if err != nil {
				t.Fatal(err)
			}
			initialized := make(chan error, 1)
			go func() { initialized <- s.(message.SubscribeInitializer).SubscribeInitialize("user.events") }()
			if err := end(t, b, s); err != nil {
				t.Error(err)
			}
			select {
			case err := <-initialized:
				wantCode(t, err, events.CodeShuttingDown)
			case <-time.After(patience):
				t.Fatal("SubscribeInitialize goes on waiting for the broker")
			}
			_, err = s.Subscribe(t.Context(), "user.events")
			wantCode(t, err, events.CodeShuttingDown)
		})
	}
}

// A network that swallows everything holds a declaration no longer than the
// publish timeout, however late the heartbeat notices.
func TestSubscribeInitializeKeepsToItsTimeout(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *rabbitmq.Config) { c.Heartbeat, c.PublishTimeout = time.Hour, 100*time.Millisecond })
	eventually(t, "connected", func() bool { return b.broker.Ready() == nil })
	s, err := b.broker.Subscriber(router.Subscription{Handler: "h", Topic: "user.events", Types: []string{"USER_CREATED"}, Queue: "q"})
	if err != nil {
		t.Fatal(err)
	}
	resume := b.proxy.Stall()
	initialized := make(chan error, 1)
	go func() { initialized <- s.(message.SubscribeInitializer).SubscribeInitialize("user.events") }()
	select {
	case err := <-initialized:
		wantCode(t, err, events.CodeUnavailable)
	case <-time.After(patience):
		t.Error("SubscribeInitialize goes on waiting for an answer")
	}
	resume()
}
