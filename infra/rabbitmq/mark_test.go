package rabbitmq_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/router"
)

// A mark comes behind what was published before, in its own queue alone.
func TestBroker_Mark(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscriber()
	b.subscriber(func(c *router.Subscription) { c.Queue = "other" })
	var msgs []*message.Message
	for _, id := range ids(100) {
		msgs = append(msgs, created(id))
	}
	if err := b.broker.Publisher().Publish("user.events", msgs...); err != nil {
		t.Fatal(err)
	}
	mark := message.NewMessage("mark", nil)
	mark.Metadata.Set(events.MetaMark, "7")
	if err := b.broker.Mark(t.Context(), "user.events", "q", mark); err != nil {
		t.Fatal(err)
	}
	for queue, want := range map[string]int{"q": 101, "other": 100} {
		if n, exists, err := b.broker.QueueDepth(t.Context(), "user.events", queue); err != nil || !exists || n != want {
			t.Errorf("the depth of queue %s is %d, %t, %v; want %d", queue, n, exists, err, want)
		}
	}
	out := b.subscribe(sub)
	var last *message.Message
	for range 101 {
		last = receive(t, out)
		last.Ack()
	}
	if last.UUID != "mark" || last.Metadata.Get(events.MetaMark) != "7" {
		t.Errorf("the last message is %s with %v, not the mark", last.UUID, last.Metadata)
	}
}

func TestBroker_Mark_MissingQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	wantCode(t, b.broker.Mark(t.Context(), "user.events", "q", created("1")), events.CodeNotFound)
	if n, exists, err := b.broker.QueueDepth(t.Context(), "user.events", "q"); n != 0 || exists || err != nil {
		t.Errorf("the depth of a queue that does not exist is %d, %t, %v: it must not be declared", n, exists, err)
	}
}

// What the log says about an event reaches its handler however often it is delivered again.
func TestSubscriber_KeepsTheLogsHeaders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	brokertest.CleanAMQP(t, b.url, []string{b.ns + ".q.retry.1s"}, nil)
	out := b.subscribe(b.subscriber())
	msg := created("1")
	want := map[string]string{events.MetaLogPartition: "3", events.MetaLogPosition: "18446744073709551615", events.MetaLogEpoch: "2"}
	for key, value := range want {
		msg.Metadata.Set(key, value)
	}
	if err := b.broker.Publisher().Publish("user.events", msg); err != nil {
		t.Fatal(err)
	}
	check := func(how string, got *message.Message) {
		t.Helper()
		for key, value := range want {
			if got.Metadata.Get(key) != value {
				t.Errorf("%s: %s is %q, want %q", how, key, got.Metadata.Get(key), value)
			}
		}
	}
	check("delivered", receive(t, out))
	b.proxy.Cut()
	again := receive(t, out)
	check("redelivered", again)
	again.Nack()
	again = receive(t, out)
	check("nacked", again)
	if err := b.broker.Delay(t.Context(), "q", 1, again.Copy()); err != nil {
		t.Fatal(err)
	}
	again.Ack()
	again = receive(t, out)
	check("delayed", again)
	if err := b.broker.QueuePublisher().Publish("q.poison", again.Copy()); err != nil {
		t.Fatal(err)
	}
	again.Ack()
	poison := b.subscriber(func(c *router.Subscription) { *c = router.Subscription{Handler: "poison:h", Queue: "q.poison"} })
	received, err := poison.Subscribe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	again = receive(t, received)
	check("a poison message", again)
	again.Ack()
}
