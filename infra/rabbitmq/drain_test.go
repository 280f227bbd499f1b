package rabbitmq_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/router"
)

func TestSubscriber_SlowMessageDelaysNoAck(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscriber(func(c *router.Subscription) { c.Prefetch = 8 })
	out := b.subscribe(sub)
	var msgs []*message.Message
	for _, id := range ids(100) {
		msgs = append(msgs, created(id))
	}
	if err := b.broker.Publisher().Publish("user.events", msgs...); err != nil {
		t.Fatal(err)
	}
	slow := receive(t, out)
	// With a prefetch of 8, the other 99 come only as acks reach the broker.
	for range 99 {
		receive(t, out).Ack()
	}
	slow.Ack()
	if err := sub.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue is empty", func() bool { return b.depth("q") == 0 })
}

func TestSubscriber_Drain_AckedMessagesAreNotRedelivered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscriber(func(c *router.Subscription) { c.Concurrency = 4 })
	out := b.subscribe(sub)
	var msgs []*message.Message
	for _, id := range ids(50) {
		msgs = append(msgs, created(id))
	}
	if err := b.broker.Publisher().Publish("user.events", msgs...); err != nil {
		t.Fatal(err)
	}
	var running []*message.Message
	for range 4 {
		running = append(running, receive(t, out))
	}
	drained := make(chan error, 1)
	go func() { drained <- sub.Drain(t.Context()) }()
	eventually(t, "not ready any more", func() bool { return sub.Ready() != nil })
	for _, msg := range running {
		if err := msg.Context().Err(); err != nil {
			t.Errorf("the context of a running handler: %v", err)
		}
		msg.Ack()
	}
	if err := <-drained; err != nil {
		t.Errorf("Drain: %v", err)
	}
	if _, open := <-out; open {
		t.Error("the channel of messages is open after a drain")
	}
	eventually(t, "46 are left to the broker", func() bool { return b.depth("q") == 46 })
	handled := make(map[string]bool)
	for _, msg := range running {
		handled[msg.UUID] = true
	}
	for range 46 {
		d, ok, err := b.plain.Get(b.ns+".q", true)
		if err != nil || !ok {
			t.Fatalf("no message: %v", err)
		}
		if handled[d.MessageId] {
			t.Errorf("%s was handled, and is delivered again", d.MessageId)
		}
	}
}

func TestSubscriber_Drain_GivesUpAtDeadline(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sub := b.subscriber()
	out := b.subscribe(sub)
	if err := b.broker.Publisher().Publish("user.events", created("1")); err != nil {
		t.Fatal(err)
	}
	msg := receive(t, out)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := sub.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain: %v, want the context's error", err)
	}
	<-msg.Context().Done()
	eventually(t, "the message is left to the broker", func() bool { return b.depth("q") == 1 })
}
