package rabbitmq_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

// A broker that is restarted, and one that is out of memory.
func TestBroker_RestartAndBlock(t *testing.T) {
	if testing.Short() {
		t.Skip("starting a RabbitMQ takes some seconds: run without -short")
	}
	t.Parallel()
	server := brokertest.StartRabbitMQ(t)
	var blocks atomic.Int32
	broker, err := rabbitmq.Open(rabbitmq.Config{URL: server.URL(), MinBackoff: 20 * time.Millisecond, MaxBackoff: time.Second, OnBlocked: func(is bool) {
		if is {
			blocks.Add(1)
		} else {
			blocks.Add(-1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = broker.Close() }()
	sub, err := broker.Subscriber(router.Subscription{Handler: "h", Topic: "user.events", Types: []string{"USER_CREATED"}, Queue: "q"})
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Declare(context.Background()); err != nil {
		t.Fatal(err)
	}
	out, err := sub.Subscribe(context.Background(), "user.events")
	if err != nil {
		t.Fatal(err)
	}
	p := broker.Publisher()
	if err := p.Publish("user.events", created("1")); err != nil {
		t.Fatal(err)
	}
	receive(t, out).Ack()

	// Not killed: RabbitMQ 3.10 may leave a quorum queue that is younger than some
	// seconds without a leader then. Connections cut without a word are tested with
	// the proxy.
	server.Ctl("stop_app")
	eventually(t, "the loss is noticed", func() bool { return broker.Ready() != nil })
	published := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		msg := created("2")
		msg.SetContext(ctx)
		published <- p.Publish("user.events", msg)
	}()
	server.Ctl("start_app")
	if err := <-published; err != nil {
		t.Fatalf("a Publish over a restart: %v", err)
	}
	for {
		msg := receive(t, out)
		msg.Ack()
		if msg.UUID == "2" { // The first may come again: its ack and the kill were close.
			break
		}
	}

	server.Ctl("set_vm_memory_high_watermark", "absolute", "1MB")
	isBlocked := func(b *rabbitmq.Broker) func() bool {
		return func() bool {
			err := b.Ready()
			return err != nil && strings.Contains(err.Error(), "blocks publishers")
		}
	}
	eventually(t, "the alarm is known before anything is published", isBlocked(broker))
	idle, err := rabbitmq.Open(rabbitmq.Config{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a process that starts meanwhile knows it, too", isBlocked(idle))
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
	blocked := publishWithin(p, 300*time.Millisecond)
	if code := events.CodeOf(blocked); code != events.CodeUnavailable && code != events.CodeTimeout {
		t.Errorf("a blocked Publish: %v", blocked)
	}
	if err := broker.Ready(); err == nil || !strings.Contains(err.Error(), "blocks publishers") || blocks.Load() != 1 {
		t.Errorf("a blocked broker is ready with %v, and %d blocks were told of", err, blocks.Load())
	}
	server.Ctl("set_vm_memory_high_watermark", "0.9")
	eventually(t, "the end of the block", func() bool { return broker.Ready() == nil && blocks.Load() == 0 })
	eventually(t, "a Publish goes through", func() bool { return publishWithin(p, 5*time.Second) == nil })
	go func() {
		for msg := range out {
			msg.Ack()
		}
	}()
	if err := sub.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// A queue that the user may not declare is named, with what to do, until the right is given;
// then everything works by itself.
func TestSubscriber_QueueWithoutRights(t *testing.T) {
	if testing.Short() {
		t.Skip("starting a RabbitMQ takes some seconds: run without -short")
	}
	t.Parallel()
	server := brokertest.StartRabbitMQ(t)
	server.Ctl("add_user", "app", "secret")
	const others = "^(user|other|amq).*"
	server.Ctl("set_permissions", "app", others, ".*", ".*")
	broker, err := rabbitmq.Open(rabbitmq.Config{
		URL:        strings.Replace(server.URL(), "guest:guest", "app:secret", 1),
		MinBackoff: 20 * time.Millisecond, MaxBackoff: time.Second, DeclareEvery: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = broker.Close() }()
	var subs []router.Subscriber
	for _, queue := range []string{"q", "q2", "other"} {
		sub, err := broker.Subscriber(router.Subscription{Handler: "h", Topic: "user.events", Types: []string{"USER_CREATED"}, Queue: queue})
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	consumed, declared, other := subs[0], subs[1], subs[2]
	wantCode(t, declared.Declare(t.Context()), events.CodeConfig)
	if err := other.Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := consumed.Subscribe(t.Context(), "user.events")
	if err != nil {
		t.Fatal(err)
	}
	for queue, sub := range map[string]router.Subscriber{"q.poison": consumed, "q2.poison": declared} {
		eventually(t, "readiness names the queue and the way out", func() bool {
			var e *events.Error
			err := sub.Ready()
			return errors.As(err, &e) && e.Code == events.CodeConfig && strings.Contains(e.Message, queue) && strings.Contains(e.Hint, "permission")
		})
	}
	if err := broker.Publisher().Publish("user.events", created("1")); err != nil {
		t.Errorf("an event for another queue: %v", err)
	}
	server.Ctl("set_permissions", "app", ".*", ".*", ".*")
	eventually(t, "both are declared by themselves", func() bool {
		return consumed.Ready() == nil && events.CodeOf(declared.Ready()) != events.CodeConfig
	})
	if err := broker.Publisher().Publish("user.events", created("2")); err != nil {
		t.Fatal(err)
	}
	if msg := receive(t, out); msg.UUID != "2" {
		t.Errorf("got %s", msg.UUID)
	} else {
		msg.Ack()
	}
	eventually(t, "the event is in the queue of the other handler", func() bool {
		n, _, err := broker.QueueDepth(t.Context(), "user.events", "q2")
		return err == nil && n == 1
	})
}

func publishWithin(p message.Publisher, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	msg := created("3")
	msg.SetContext(ctx)
	return p.Publish("user.events", msg)
}
