package porttest

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

func eventSubscription() router.Subscription {
	return router.Subscription{Handler: "h", Topic: eventTopic, Types: []string{placed}, Queue: queueName}
}

// note returns a message of a type and a key.
func note(id, kind, key string) *message.Message {
	msg := message.NewMessage(id, []byte(`{"id":"`+id+`"}`))
	msg.Metadata = message.Metadata{events.MetaType: kind, events.MetaAggregateID: key}
	return msg
}

// strange returns a message that is hard to carry.
func strange(id string) *message.Message {
	msg := note(id, placed, "k")
	msg.Payload = []byte("{\x00\xff\"\r\n\\ü")
	for name, value := range map[string]string{
		"über": "a=b&c:ö\n\x00\xff", "empty": "", "7:,": "7:,", events.MetaCorrelationID: "c 1", events.MetaCausationID: "not a UUID",
		events.MetaTimestamp: "not a time", events.MetaAppID: "shop", events.MetaVersion: "3", events.MetaTraceparent: "00-1-2-01",
	} {
		msg.Metadata.Set(name, value)
	}
	return msg
}

// wantWhole checks that a message is the one that was sent. It may have more metadata.
func wantWhole(t tb, sent, got *message.Message) *message.Message {
	t.Helper()
	if got.UUID != sent.UUID || string(got.Payload) != string(sent.Payload) {
		t.Errorf("got message %q with %d bytes %.60q; want %q with %d bytes %.60q", got.UUID, len(got.Payload), got.Payload, sent.UUID, len(sent.Payload), sent.Payload)
	}
	for name, want := range sent.Metadata {
		if is, ok := got.Metadata[name]; !ok || is != want {
			t.Errorf("the metadata %q is %q; want %q", name, is, want)
		}
	}
	return got
}

// subscriber returns a subscriber that is closed at the end of the test.
func subscriber(t *testing.T, tr router.Transport, cfg router.Subscription) router.Subscriber {
	t.Helper()
	sub, err := tr.Subscriber(cfg)
	must(t, err)
	t.Cleanup(func() {
		if err := sub.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return sub
}

// consumer is a subscriber that consumes.
type consumer struct {
	router.Subscriber
	t   *testing.T
	out <-chan *message.Message
}

// consume subscribes and returns when the subscription is consuming.
func consume(t *testing.T, tr router.Transport, cfg router.Subscription) consumer {
	t.Helper()
	c := consumer{subscriber(t, tr, cfg), t, nil}
	if c.Ready() == nil {
		t.Error("a subscriber is ready before it subscribes")
	}
	must(t, c.Declare(t.Context()))
	var err error
	c.out, err = c.Subscribe(context.WithoutCancel(t.Context()), cfg.Topic)
	must(t, err)
	if !cfg.Ordered { // Instances that stand by need not be ready.
		eventually(t, "the subscription is ready", func() bool { return c.Ready() == nil })
	}
	return c
}

// next returns the next message.
func (c consumer) next() *message.Message {
	c.t.Helper()
	select {
	case msg, open := <-c.out:
		if !open {
			c.t.Fatal("the subscription has ended")
		}
		return msg
	case <-time.After(patience):
		c.t.Fatalf("no message came within %s", patience)
		panic("unreachable")
	}
}

func (c consumer) ack(msg *message.Message) {
	c.t.Helper()
	if !msg.Ack() {
		c.t.Error("the message is nacked already")
	}
}

// want receives and acknowledges messages, in the given order.
func (c consumer) want(ids ...string) {
	c.t.Helper()
	for _, id := range ids {
		msg := c.next()
		if msg.UUID != id {
			c.t.Fatalf("got message %s; want %s of %s", msg.UUID, id, ids)
		}
		c.ack(msg)
	}
}

// nothing looks for a message that must not come.
func (c consumer) nothing(why string) {
	c.t.Helper()
	select {
	case msg, open := <-c.out:
		if open {
			c.t.Fatalf("%s was delivered: %s", msg.UUID, why)
		}
	case <-time.After(glance):
	}
}

// closed waits until the channel of messages is closed.
func (c consumer) closed() {
	c.t.Helper()
	select {
	case msg, open := <-c.out:
		if open {
			c.t.Errorf("%s was delivered after the end of the subscription", msg.UUID)
		}
	case <-time.After(patience):
		c.t.Errorf("the channel of messages is still open after %s", patience)
	}
}

// drain ends the subscription without anything left.
func (c consumer) drain() {
	c.t.Helper()
	must(c.t, c.Drain(c.t.Context()))
	c.closed()
}
