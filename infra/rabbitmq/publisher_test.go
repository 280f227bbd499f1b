package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || events.CodeOf(err) != code {
		t.Fatalf("got error %v with the code %s, want the code %s", err, events.CodeOf(err), code)
	}
}

// What another client sees of a message is the contract.
func TestPublisher_WireFormat(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.subscriber()
	msg := message.NewMessage("5f0c8a5e-0000-4000-8000-000000000001", []byte(`{"id":"x"}`))
	msg.Metadata = message.Metadata{
		events.MetaType: "USER_CREATED", events.MetaTimestamp: "2026-01-02T03:04:05.678Z",
		events.MetaCorrelationID: "corr", events.MetaCausationID: "cause",
		events.MetaAggregate: "user", events.MetaAggregateID: "u1", events.MetaVersion: "7",
		events.MetaSchemaVersion: "1", events.MetaTraceparent: "00-ab-cd-01",
	}
	if err := b.broker.Publisher().Publish("user.events", msg); err != nil {
		t.Fatal(err)
	}
	got, ok, err := b.plain.Get(b.ns+".q", true)
	if err != nil || !ok {
		t.Fatalf("no message in the queue: %v", err)
	}
	delete(got.Headers, "x-delivery-count") // A quorum queue puts it there.
	type seen struct {
		ID, Type, Content, Correlation, App, Exchange, Key, Body string
		Mode                                                     uint8
		Time                                                     time.Time
		Headers                                                  amqp.Table
	}
	want := seen{
		ID: msg.UUID, Type: "USER_CREATED", Content: "application/json", Correlation: "corr", App: "pitwheel",
		Exchange: b.ns + ".user.events", Key: "USER_CREATED", Body: `{"id":"x"}`, Mode: amqp.Persistent,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Headers: amqp.Table{
			"causation_id": "cause", "aggregate": "user", "aggregate_id": "u1", "aggregate_version": "7",
			"schema_version": "1", "traceparent": "00-ab-cd-01",
		},
	}
	if diff := cmp.Diff(want, seen{
		got.MessageId, got.Type, got.ContentType, got.CorrelationId, got.AppId, got.Exchange, got.RoutingKey, string(got.Body),
		got.DeliveryMode, got.Timestamp.UTC(), got.Headers,
	}); diff != "" {
		t.Errorf("on the wire (-want +got):\n%s", diff)
	}
}

func TestPublisher_Concurrent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.subscriber()
	p := b.broker.Publisher()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 10 {
				if err := p.Publish("user.events", created("a"), created("b"), created("c")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	eventually(t, "all 600 messages are in the queue", func() bool { return b.depth("q") == 600 })
}

func TestPublisher_OrderOfOneCall(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *rabbitmq.Config) { c.MaxUnconfirmed = 16 })
	b.subscriber()
	var msgs []*message.Message
	want := ids(500)
	for _, id := range want {
		msgs = append(msgs, created(id))
	}
	if err := b.broker.Publisher().Publish("user.events", msgs...); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range want {
		d, ok, err := b.plain.Get(b.ns+".q", true)
		if err != nil || !ok {
			t.Fatalf("no message: %v", err)
		}
		got = append(got, d.MessageId)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestPublisher_Unroutable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	command := func(kind string) *message.Message {
		msg := message.NewMessage("same-id", []byte(`{}`))
		msg.Metadata.Set(events.MetaType, kind)
		return msg
	}
	p := b.broker.Publisher()
	err := p.Publish("user.commands", command("CREATE_USER"))
	wantCode(t, err, events.CodeUnhandled)
	for _, part := range []string{"CREATE_USER", "user.commands"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not name %s: %v", part, err)
		}
	}
	if err := p.Publish("user.events", created("no-queue")); err != nil {
		t.Errorf("an event without a queue: %v", err)
	}

	b.subscriber(func(c *router.Subscription) { c.Topic, c.Types = "user.commands", []string{"CREATE_USER"} })
	// The same id under way many times, some routable and some not: each caller
	// gets the answer for its own.
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if err := p.Publish("user.commands", command("CREATE_USER"), command("CREATE_USER")); err != nil {
				t.Errorf("routable: %v", err)
			}
			if err := p.Publish("user.commands", command("CREATE_USER"), command(fmt.Sprint("UNKNOWN_", i%3))); events.CodeOf(err) != events.CodeUnhandled || err == nil {
				t.Errorf("unroutable: %v", err)
			}
		})
	}
	all.Wait()
}

func TestQueuePublisher(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.broker.QueuePublisher()
	// The queue is missing, and declared as its subscriber would.
	if err := p.Publish("q", created("1"), created("2")); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish("q.poison", created("3")); err != nil {
		t.Fatal(err)
	}
	b.subscriber()
	eventually(t, "2 and 1 messages", func() bool { return b.depth("q") == 2 && b.depth("q.poison") == 1 })
}

func TestPublisher_TimesOut(t *testing.T) {
	t.Parallel()
	t.Run("no broker", func(t *testing.T) {
		t.Parallel()
		proxy := brokertest.NewProxy(t, "127.0.0.1:1")
		proxy.Down()
		b, err := rabbitmq.Open(rabbitmq.Config{URL: "amqp://guest:geheim@" + proxy.Addr() + "/", PublishTimeout: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.Close() }()
		err = b.Publisher().Publish("user.events", created("1"))
		wantCode(t, err, events.CodeUnavailable)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), proxy.Addr()) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("the error should name the broker and the deadline, and not the password: %v", err)
		}
		wantCode(t, b.Ready(), events.CodeUnavailable)
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		msg := created("1")
		msg.SetContext(ctx)
		// The second message of a call counts as well.
		wantCode(t, b.broker.Publisher().Publish("user.events", created("0"), msg), events.CodeUnavailable)
	})
	t.Run("the network stalls after sending", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.subscriber()
		p := b.broker.Publisher()
		if err := p.Publish("user.events", created("0")); err != nil {
			t.Fatal(err)
		}
		resume := b.proxy.Stall()
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		msg := created("1")
		msg.SetContext(ctx)
		err := p.Publish("user.events", msg)
		wantCode(t, err, events.CodeTimeout)
		if !strings.Contains(err.Error(), "unknown") {
			t.Errorf("the error should say that the outcome is unknown: %v", err)
		}
		resume()
		if err := p.Publish("user.events", created("2")); err != nil {
			t.Errorf("after the stall: %v", err)
		}
	})
}

func TestPublisher_LostConnections(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.subscriber()
	p := b.broker.Publisher()
	const calls, each = 60, 20
	sent := make(chan []string, calls)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range calls / 4 {
				batch := ids(each)
				msgs := make([]*message.Message, each)
				for i, id := range batch {
					msgs[i] = created(id)
				}
				if err := p.Publish("user.events", msgs...); err != nil {
					t.Errorf("Publish through a cut: %v", err)
				}
				sent <- batch
			}
		})
	}
	missing := make(map[string]bool)
	for i := range calls {
		for _, id := range <-sent {
			missing[id] = true
		}
		if i%15 == 7 {
			b.proxy.Cut()
		}
	}
	all.Wait()
	for {
		d, ok, err := b.plain.Get(b.ns+".q", true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		delete(missing, d.MessageId)
	}
	if len(missing) > 0 {
		t.Errorf("%d confirmed messages are lost", len(missing))
	}
}

// What the broker refuses by closing the channel fails, and hurts only itself.
func TestPublisher_RefusedByBroker(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.plain.ExchangeDeclare(b.ns+".user.events", "fanout", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	p := b.broker.Publisher()
	wantCode(t, p.Publish("user.events", created("1")), events.CodeConfig)
	if err := p.Publish("user.commands.log", created("2")); err != nil {
		t.Errorf("another exchange: %v", err)
	}
	brokertest.CleanAMQP(t, b.url, nil, []string{b.ns + ".user.commands.log"})

	// An exchange that is deleted under our feet is declared again.
	if err := b.plain.ExchangeDelete(b.ns+".user.commands.log", false, false); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish("user.commands.log", created("3")); err != nil {
		t.Errorf("after the exchange was deleted: %v", err)
	}
}

func TestPublisher_MessageAMQPCannotCarry(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.broker.Publisher()
	long := strings.Repeat("x", 256)
	for name, broken := range map[string]func(*message.Message){
		"id":   func(m *message.Message) { m.UUID = long },
		"type": func(m *message.Message) { m.Metadata.Set(events.MetaType, long) },
		"key":  func(m *message.Message) { m.Metadata.Set(long, "v") },
		"all":  func(m *message.Message) { m.Metadata.Set("k", strings.Repeat(long, 1000)) },
	} {
		msg := created("1")
		broken(msg)
		if err := p.Publish("user.events", msg); events.CodeOf(err) != events.CodeInvalid || err == nil {
			t.Errorf("%s: %v, want the code INVALID", name, err)
		}
	}
	wantCode(t, p.Publish(long, created("1")), events.CodeInvalid)
	// What only looks dangerous goes through.
	b.subscriber()
	msg := created("1")
	msg.Metadata.Set(events.MetaCorrelationID, long)
	msg.Metadata.Set("CC", "no array")
	msg.Metadata.Set("x-death", "no array")
	msg.Metadata.Set("x-delivery-count", "17")
	if err := p.Publish("user.events", msg); err != nil {
		t.Fatal(err)
	}
	out := b.subscribe(b.subscriber())
	got := receive(t, out)
	got.Ack()
	if got.Metadata.Get(events.MetaCorrelationID) != long || got.Metadata.Get("CC") != "" {
		t.Errorf("got %v", got.Metadata)
	}
}

func TestPublisher_Close(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one, other := b.broker.Publisher(), b.broker.Publisher()
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, one.Publish("user.events", created("1")), events.CodeShuttingDown)
	if err := other.Publish("user.events", created("1")); err != nil {
		t.Errorf("one handler's publisher was closed, and another's fails: %v", err)
	}
	if err := b.broker.Close(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, other.Publish("user.events", created("1")), events.CodeShuttingDown)
	wantCode(t, b.broker.Ready(), events.CodeShuttingDown)
}
