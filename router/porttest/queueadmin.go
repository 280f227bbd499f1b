package porttest

import (
	"fmt"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// AdminTransport is what [TestQueueAdmin] checks.
type AdminTransport interface {
	router.Transport
	router.QueueAdmin
}

// TestQueueAdmin checks an implementation of [router.QueueAdmin]. It uses the names in
// [TransportNames].
func TestQueueAdmin(t *testing.T, open func(t *testing.T) AdminTransport) {
	s := suite[AdminTransport]{t, open}
	s.run("what does not exist is empty, and is moved and deleted without an error", func(t *testing.T, tr AdminTransport) {
		ctx := t.Context()
		must(t, tr.Unbind(ctx, eventTopic, queueName, placed))
		declareQueue(t, tr, otherQueue)
		if n := get[int](t)(tr.MoveQueue(ctx, eventSubscription(), otherQueue)); n != 0 {
			t.Errorf("%d messages were moved", n)
		}
		wantWaiting(t, tr, queueName, 0)
		must(t, tr.DeleteQueue(ctx, eventTopic, queueName))
		must(t, tr.DeleteQueue(ctx, "", otherQueue))
		must(t, tr.DeleteQueue(ctx, "", otherQueue))
	})
	s.run("a queue gets no more of a type that is unbound", func(t *testing.T, tr AdminTransport) {
		sub := eventSubscription()
		sub.Types = []string{placed, shipped}
		must(t, subscriber(t, tr, sub).Declare(t.Context()))
		sub.Queue = otherQueue // What no queue receives, a transport may bind again.
		must(t, subscriber(t, tr, sub).Declare(t.Context()))
		sub.Queue = queueName
		must(t, tr.Publisher().Publish(eventTopic, note("0", placed, "k"))) // With its first message it may declare things.
		for range 2 {                                                       // It may be repeated.
			must(t, tr.Unbind(t.Context(), eventTopic, queueName, shipped))
		}
		must(t, tr.Publisher().Publish(eventTopic, note("1", shipped, "k"), note("2", placed, "k")))
		sub.Types = []string{placed}
		consume(t, tr, sub).want("0", "2")
	})
	s.run("everything that waits is moved, and nothing comes after it", moveQueue)
	s.run("a queue that is consumed is not deleted", func(t *testing.T, tr AdminTransport) {
		c := consume(t, tr, eventSubscription())
		must(t, tr.Publisher().Publish(eventTopic, note("1", placed, "k")))
		c.want("1")
		wantCode(t, "deleting a queue that is consumed", tr.DeleteQueue(t.Context(), eventTopic, queueName), events.CodeConfig)
		must(t, tr.Publisher().Publish(eventTopic, note("2", placed, "k")))
		c.want("2")
		c.drain()
		must(t, c.Close())
		eventually(t, "the queue can be deleted", func() bool { return tr.DeleteQueue(t.Context(), eventTopic, queueName) == nil })
		if get[bool](t)(tr.HasQueue(t.Context(), queueName)) {
			t.Error("the queue exists")
		}
	})
	s.run("a queue is deleted with all that waits for it, and no other one", func(t *testing.T, tr AdminTransport) {
		ctx := t.Context()
		declareQueue(t, tr, queueName)
		declareQueue(t, tr, otherQueue)
		must(t, tr.Publisher().Publish(eventTopic, note("1", placed, "k")))
		must(t, tr.QueuePublisher().Publish(queueName, note("2", placed, "k")))
		must(t, tr.Delay(ctx, queueName, time.Hour, note("3", placed, "k")))
		wantWaiting(t, tr, queueName, 3)
		must(t, tr.DeleteQueue(ctx, eventTopic, queueName))
		wantWaiting(t, tr, queueName, 0)
		if get[bool](t)(tr.HasQueue(ctx, queueName)) {
			t.Error("the queue exists")
		}
		wantWaiting(t, tr, otherQueue, 1)
		c := consume(t, tr, eventSubscription()) // A queue of that name is a new one.
		must(t, tr.Publisher().Publish(eventTopic, note("4", placed, "k")))
		c.want("4")
	})
}

// moveQueue moves more messages than a transport moves at once: of the topic, the queue's own,
// and delayed ones.
func moveQueue(t *testing.T, tr AdminTransport) {
	ctx := t.Context()
	declareQueue(t, tr, queueName)
	must(t, subscriber(t, tr, router.Subscription{Handler: "h", Queue: otherQueue}).Declare(ctx))
	const each = 300
	want := map[string]bool{}
	for i := range each {
		topic, own := fmt.Sprint("topic ", i), fmt.Sprint("own ", i)
		want[topic], want[own] = true, true
		must(t, tr.Publisher().Publish(eventTopic, note(topic, placed, topic), note(fmt.Sprint("no ", i), shipped, "k")))
		must(t, tr.QueuePublisher().Publish(queueName, note(own, shipped, own)))
	}
	delayed := note("delayed", placed, "delayed")
	delayed.Metadata[events.MetaDue] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
	must(t, tr.Delay(ctx, queueName, time.Hour, delayed))
	wantWaiting(t, tr, queueName, 2*each+1)
	if n := get[int](t)(tr.MoveQueue(ctx, eventSubscription(), otherQueue)); n != 2*each+1 {
		t.Errorf("%d messages were moved; want %d", n, 2*each+1)
	}
	declareQueue(t, tr, otherQueue) // What no queue receives, a transport may bind again.
	must(t, tr.Publisher().Publish(eventTopic, note("later", placed, "k")))
	want["later"] = true
	wantWaiting(t, tr, queueName, 0)
	sub := eventSubscription()
	sub.Queue = otherQueue
	c := consume(t, tr, sub)
	for len(want) > 0 {
		msg := c.next()
		c.ack(msg)
		if msg.UUID != "delayed" && !want[msg.UUID] {
			t.Fatalf("%s arrives, and is not wanted, or a second time", msg.UUID)
		}
		delete(want, msg.UUID)
	}
}

// declareQueue declares a queue that is bound to the topic of events.
func declareQueue(t *testing.T, tr router.Transport, queue string) {
	t.Helper()
	sub := eventSubscription()
	sub.Queue = queue
	must(t, subscriber(t, tr, sub).Declare(t.Context()))
}

// wantWaiting waits until so many messages wait in a queue: a broker may count late.
func wantWaiting(t *testing.T, tr AdminTransport, queue string, want int) {
	t.Helper()
	sub := eventSubscription()
	sub.Queue = queue
	last := -1
	eventually(t, fmt.Sprint(want, " messages wait in ", queue), func() bool {
		n := get[int](t)(tr.CountQueue(t.Context(), sub))
		if n != last {
			t.Logf("%s: %d messages wait", queue, n)
		}
		last = n
		return n == want
	})
}
