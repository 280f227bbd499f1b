package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

// A foreign producer: no id, no type, headers of every kind.
func TestSubscriber_ForeignProducer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	out := b.subscribe(b.subscriber())
	err := b.plain.Publish(b.ns+".user.events", "USER_CREATED", false, false, amqp.Publishing{
		Body:    []byte("{broken"),
		Headers: amqp.Table{"n": int32(5), "deep": amqp.Table{"list": []any{1.5, nil}}, "none": nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	msg := receive(t, out)
	if msg.UUID != "" || string(msg.Payload) != "{broken" || msg.Metadata.Get(events.MetaType) != "USER_CREATED" ||
		msg.Metadata.Get("n") != "5" || msg.Metadata.Get("deep") != `{"list":[1.5,null]}` {
		t.Errorf("got %q %q %v", msg.UUID, msg.Payload, msg.Metadata)
	}
	msg.Ack()
	eventually(t, "the queue is empty", func() bool { return b.depth("q") == 0 })
}

func TestSubscriber_LostConnections(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscriber(func(c *router.Subscription) {
		c.Key = func(m *message.Message) string { return m.Metadata.Get(events.MetaAggregateID) }
	})
	out := b.subscribe(sub)
	const n = 2000
	go func() {
		for i := range n / 10 {
			msgs := make([]*message.Message, 10)
			for j := range msgs {
				msgs[j] = created(fmt.Sprint(i*10 + j))
				msgs[j].Metadata.Set(events.MetaAggregateID, fmt.Sprint("key", j))
			}
			if err := b.broker.Publisher().Publish("user.events", msgs...); err != nil {
				t.Errorf("Publish: %v", err)
			}
		}
	}()
	var mu sync.Mutex
	seen := make(map[string]bool)
	busy := make(map[string]bool)
	all := make(chan struct{})
	go func() {
		for msg := range out {
			go func() {
				key := msg.Metadata.Get(events.MetaAggregateID)
				mu.Lock()
				if busy[key] {
					t.Errorf("two messages of %s at once", key)
				}
				busy[key] = true
				mu.Unlock()
				runtime.Gosched()
				mu.Lock()
				busy[key] = false
				seen[msg.UUID] = true
				count := len(seen)
				mu.Unlock()
				msg.Ack()
				if count == n {
					select {
					case <-all:
					default:
						close(all)
					}
				}
			}()
		}
	}()
	for cut := range 4 {
		eventually(t, "progress", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(seen) > (cut+1)*n/8
		})
		b.proxy.Cut()
	}
	eventually(t, "all messages are handled", func() bool {
		select {
		case <-all:
			return true
		default:
			return false
		}
	})
	if err := sub.Drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
	eventually(t, "the queue is empty", func() bool { return b.depth("q") == 0 })
	if d := b.depth("q.poison"); d != 0 {
		t.Errorf("%d messages are in the poison queue", d)
	}
}

// A handler that still runs when the connection is lost acks with a tag that is another
// message's on the new channel.
func TestSubscriber_AckAfterReconnect(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscriber()
	out := b.subscribe(sub)
	if err := b.broker.Publisher().Publish("user.events", created("1"), created("2")); err != nil {
		t.Fatal(err)
	}
	old := []*message.Message{receive(t, out), receive(t, out)}
	b.proxy.Cut()
	again := []*message.Message{receive(t, out), receive(t, out)}
	for _, msg := range old {
		msg.Ack() // It is too late, and must have no effect.
	}
	if got := again[0].Metadata.Get(rabbitmq.MetaRedelivered); got != "true" {
		t.Errorf("the redelivered message has %s=%q", rabbitmq.MetaRedelivered, got)
	}
	if got := again[0].Metadata.Get("x-delivery-count"); got != "1" {
		t.Errorf("the redelivered message has x-delivery-count=%q, want 1", got)
	}
	b.proxy.Cut()
	for range 2 {
		receive(t, out).Ack()
	}
	for _, msg := range again {
		msg.Ack()
	}
	if err := sub.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue is empty", func() bool { return b.depth("q") == 0 })
}

func TestSubscriber_QueueDeletedWhileConsuming(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscriber()
	out := b.subscribe(sub)
	eventually(t, "ready", func() bool { return sub.Ready() == nil })
	if _, err := b.plain.QueueDelete(b.ns+".q", false, false, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue is there again", func() bool {
		conn, ch := b.direct(t)
		defer func() { _ = conn.Close() }()
		q, err := ch.QueueDeclarePassive(b.ns+".q", true, false, false, false, nil)
		return err == nil && q.Consumers == 1
	})
	if err := b.broker.Publisher().Publish("user.events", created("1")); err != nil {
		t.Fatal(err)
	}
	receive(t, out).Ack()
}

func TestSubscriber_SubscribeBeforeBrokerIsReachable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.subscriber()
	b.proxy.Down()
	eventually(t, "the loss is noticed", func() bool { return b.broker.Ready() != nil })
	sub, err := b.broker.Subscriber(router.Subscription{Handler: "h", Topic: "user.events", Types: []string{"USER_CREATED"}, Queue: "q"})
	if err != nil {
		t.Fatal(err)
	}
	out := b.subscribe(sub)
	wantCode(t, sub.Ready(), events.CodeUnavailable)
	published := make(chan error, 1)
	go func() { published <- b.broker.Publisher().Publish("user.events", created("1")) }()
	b.proxy.Up()
	receive(t, out).Ack()
	if err := <-published; err != nil {
		t.Errorf("a Publish that waited for the broker: %v", err)
	}
	if err := sub.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

// A queue that exists with other arguments is an error that says what to do; once it is
// deleted, the subscription starts by itself.
func TestSubscriber_QueueWithOtherArguments(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.plain.QueueDeclare(b.ns+".q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	sub, err := b.broker.Subscriber(router.Subscription{Handler: "h", Topic: "user.events", Types: []string{"USER_CREATED"}, Queue: "q"})
	if err != nil {
		t.Fatal(err)
	}
	err = sub.Declare(context.Background())
	wantCode(t, err, events.CodeConfig)
	var e *events.Error
	if !strings.Contains(err.Error(), b.ns+".q") || !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("the error should name the queue and say what to do: %v", err)
	}
	out := b.subscribe(sub)
	eventually(t, "Ready says why", func() bool { return events.CodeOf(sub.Ready()) == events.CodeConfig })
	if _, err := b.plain.QueueDelete(b.ns+".q", false, false, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it consumes", func() bool { return sub.Ready() == nil })
	if err := b.broker.Publisher().Publish("user.events", created("1")); err != nil {
		t.Fatal(err)
	}
	receive(t, out).Ack()
}

// With Ordered, a second instance consumes only after the first has ended, and everything
// stays in order.
func TestSubscriber_OrderedAcrossInstances(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ordered := func(c *router.Subscription) {
		c.Ordered = true
		c.Key = func(*message.Message) string { return "one" }
	}
	first, second := b.subscriber(ordered), b.subscriber(ordered)
	out1 := b.subscribe(first)
	eventually(t, "the first is ready", func() bool { return first.Ready() == nil })
	out2 := b.subscribe(second)
	eventually(t, "the second is ready", func() bool { return second.Ready() == nil })
	var msgs []*message.Message
	for i := range 20 {
		msgs = append(msgs, created(fmt.Sprint(i)))
	}
	if err := b.broker.Publisher().Publish("user.events", msgs...); err != nil {
		t.Fatal(err)
	}
	want := 0
	take := func(out <-chan *message.Message, n int) {
		t.Helper()
		for range n {
			msg := receive(t, out)
			if msg.UUID != fmt.Sprint(want) {
				t.Fatalf("got message %s, want %d", msg.UUID, want)
			}
			want++
			msg.Ack()
		}
	}
	take(out1, 10)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	take(out2, 10)
}

func TestBroker_Subscriber_WrongSubscription(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good := router.Subscription{Handler: "h", Topic: "t", Types: []string{"A"}, Queue: "q"}
	for name, broken := range map[string]func(*router.Subscription){
		"topic":       func(c *router.Subscription) { c.Topic = "" },
		"queue":       func(c *router.Subscription) { c.Queue = "" },
		"types":       func(c *router.Subscription) { c.Types = nil },
		"type":        func(c *router.Subscription) { c.Types = []string{""} },
		"concurrency": func(c *router.Subscription) { c.Concurrency = -1 },
		"prefetch":    func(c *router.Subscription) { c.Prefetch = 1 << 16 },
	} {
		cfg := good
		broken(&cfg)
		if _, err := b.broker.Subscriber(cfg); err == nil || events.CodeOf(err) != events.CodeConfig {
			t.Errorf("%s: %v, want the code CONFIG", name, err)
		}
	}
	sub, err := b.broker.Subscriber(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Subscribe(t.Context(), "other"); events.CodeOf(err) != events.CodeConfig {
		t.Errorf("Subscribe to another topic: %v", err)
	}
}

func TestSubscriber_EndOfContextClosesChannel(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscriber()
	ctx, cancel := context.WithCancel(t.Context())
	out, err := sub.Subscribe(ctx, "user.events")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, "the channel is closed", func() bool {
		select {
		case _, open := <-out:
			return !open
		default:
			return false
		}
	})
}

// A network that drops everything is detected by the heartbeat, and a drain meanwhile
// honours its deadline.
func TestSubscriber_StalledNetwork(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *rabbitmq.Config) { c.Heartbeat = time.Second })
	sub := b.subscriber()
	out := b.subscribe(sub)
	eventually(t, "ready", func() bool { return sub.Ready() == nil && b.broker.Ready() == nil })
	resume := b.proxy.Stall()
	eventually(t, "the loss is noticed", func() bool { return sub.Ready() != nil && b.broker.Ready() != nil })
	resume()
	eventually(t, "ready again", func() bool { return sub.Ready() == nil && b.broker.Ready() == nil })
	if err := b.broker.Publisher().Publish("user.events", created("1")); err != nil {
		t.Fatal(err)
	}
	receive(t, out).Ack()

	resume = b.proxy.Stall()
	defer resume()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- sub.Drain(ctx) }()
	select {
	case err := <-drained:
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain: %v", err)
		}
	case <-time.After(patience):
		t.Error("Drain has ignored its deadline")
	}
}
