package porttest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// What the auditor relies on: that acknowledgements wait for the ledger, that an instance
// can finish what it has received, and that a mark follows everything before it.

func testAcks(s suite[router.Transport]) {
	s.run("acks wait for BeforeAck", acksWaitForBeforeAck)
	s.run("acks are sent once BeforeAck returns nil", func(t *testing.T, tr router.Transport) {
		var calls, handled, covered atomic.Int64
		sub := eventSubscription()
		sub.BeforeAck = func(context.Context) error {
			if calls.Add(1) <= 2 {
				return errNotYet
			}
			covered.Store(handled.Load())
			return nil
		}
		c := consume(t, tr, sub)
		const n = 20
		var ids []string
		for i := range n {
			ids = append(ids, fmt.Sprint(i))
			must(t, tr.Publisher().Publish(eventTopic, note(ids[i], placed, "k")))
		}
		for _, id := range ids {
			msg := c.next()
			if msg.UUID != id {
				t.Errorf("got %s; want %s", msg.UUID, id)
			}
			handled.Add(1)
			c.ack(msg)
		}
		c.drain()
		if covered.Load() != n {
			t.Errorf("when BeforeAck succeeded for the last time, %d messages were acked; want %d", covered.Load(), n)
		}
		sub.BeforeAck = nil
		consume(t, tr, sub).nothing("everything is acknowledged")
	})
	s.run("a flush waits for what is received, and for its acks", func(t *testing.T, tr router.Transport) {
		c := consume(t, tr, eventSubscription())
		flush := func() <-chan error {
			done := make(chan error, 1)
			go func() { done <- flusher(t, c).Flush(t.Context()) }()
			return done
		}
		must(t, waitFor(t, flush())) // With nothing received.
		must(t, tr.Publisher().Publish(eventTopic, note("1", placed, "k")))
		msg := c.next()
		msg.Metadata[events.MetaPause] = "1ms"
		msg.Nack()
		msg = c.next()
		done := flush()
		select {
		case err := <-done:
			t.Errorf("a flush ended with a message that is neither acked nor nacked: %v", err)
		case <-time.After(glance):
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := flusher(t, c).Flush(ctx); err == nil {
			t.Error("a flush that is cut short is not an error")
		}
		c.ack(msg)
		must(t, waitFor(t, done))
		_ = c.Drain(ctx) // Nothing is left to send.
		consume(t, tr, eventSubscription()).nothing("everything is acknowledged")
	})
}

var errNotYet = errors.New("BeforeAck: not yet")

// acksWaitForBeforeAck lets BeforeAck fail: what was acked is not acknowledged, and another
// instance gets it again.
func acksWaitForBeforeAck(t *testing.T, tr router.Transport) {
	var calls atomic.Int64
	sub := eventSubscription()
	sub.BeforeAck = func(context.Context) error {
		calls.Add(1)
		return errNotYet
	}
	c := consume(t, tr, sub)
	must(t, tr.Publisher().Publish(eventTopic, note("a", placed, "a"), note("b", placed, "b")))
	for range 2 {
		c.ack(c.next())
	}
	eventually(t, "BeforeAck is called again after an error", func() bool { return calls.Load() > 2 })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(glance, cancel)
	if err := c.Drain(ctx); err == nil {
		t.Error("a drain that could not acknowledge what was acked is not an error")
	}
	c.closed()
	sub.BeforeAck = nil
	next, got := consume(t, tr, sub), map[string]bool{}
	for range 2 {
		msg := next.next()
		got[msg.UUID] = true
		next.ack(msg)
	}
	if !got["a"] || !got["b"] {
		t.Errorf("the next instance got %v; want a and b again", got)
	}
}

// flusher returns a subscriber as what every one is that the auditor can rely on.
func flusher(t *testing.T, c consumer) router.Flusher {
	t.Helper()
	f, ok := c.Subscriber.(router.Flusher)
	if !ok {
		t.Fatalf("a %T is not a router.Flusher", c.Subscriber)
	}
	return f
}

// testMarks runs on transports that are a [router.Marker].
func testMarks(s suite[router.Transport]) {
	run := func(name string, f func(t *testing.T, tr router.Transport, m router.Marker)) {
		s.run(name, func(t *testing.T, tr router.Transport) {
			m, ok := tr.(router.Marker)
			if !ok {
				t.Skipf("a %T is not a router.Marker", tr)
			}
			f(t, tr, m)
		})
	}
	run("a queue that does not exist has no marks and no depth", func(t *testing.T, tr router.Transport, m router.Marker) {
		must(t, tr.Publisher().Publish(eventTopic, note("1", placed, "k")))
		wantCode(t, "Mark", m.Mark(t.Context(), eventTopic, queueName, note("m", "MARK", "")), events.CodeNotFound)
		if n, exists, err := m.QueueDepth(t.Context(), eventTopic, queueName); n != 0 || exists || err != nil {
			t.Errorf("QueueDepth is %d, %v, %v; want no queue", n, exists, err)
		}
		if get[bool](t)(tr.HasQueue(t.Context(), queueName)) {
			t.Error("asking for it has made the queue")
		}
	})
	run("a mark follows what was published before", marksFollow)
	run("a mark of a queue without topic", func(t *testing.T, tr router.Transport, m router.Marker) {
		c := consume(t, tr, router.Subscription{Handler: "h", Queue: otherQueue})
		must(t, tr.QueuePublisher().Publish(otherQueue, note("1", placed, "k")))
		must(t, m.Mark(t.Context(), "", otherQueue, note("m", "MARK", "k")))
		c.want("1", "m")
	})
	run("the depth of a queue is what no consumer has received", queueDepth)
}

// marksFollow sends marks to one of two queues of a topic, without a consumer and with one.
func marksFollow(t *testing.T, tr router.Transport, m router.Marker) {
	const each = 20
	sub := eventSubscription()
	sub.Key = func(*message.Message) string { return "all" } // They come in the order in which they are received.
	other := sub
	other.Queue = otherQueue
	for _, s := range []router.Subscription{sub, other} {
		must(t, subscriber(t, tr, s).Declare(t.Context()))
	}
	send := func(round string) *message.Message {
		t.Helper()
		for i := range each {
			must(t, tr.Publisher().Publish(eventTopic, note(fmt.Sprint(round, " topic ", i), placed, "k")))
			must(t, tr.QueuePublisher().Publish(queueName, note(fmt.Sprint(round, " queue ", i), shipped, "k")))
		}
		mark := strange(round + " mark")
		mark.Metadata[events.MetaType] = "MARK" // No queue is bound to it.
		must(t, m.Mark(t.Context(), eventTopic, queueName, mark))
		return mark
	}
	receive := func(c consumer, mark *message.Message) {
		t.Helper()
		before := map[string]bool{}
		for {
			msg := c.next()
			c.ack(msg)
			if msg.UUID != mark.UUID {
				before[msg.UUID] = true
				continue
			}
			wantWhole(t, mark, msg)
			if len(before) != 2*each {
				t.Errorf("%d messages came before the mark; want %d", len(before), 2*each)
			}
			return
		}
	}
	first := send("first")
	c := consume(t, tr, sub)
	receive(c, first)
	receive(c, send("second"))
	must(t, tr.Publisher().Publish(eventTopic, note("last", placed, "k")))
	c.want("last")
	var want []string
	for _, round := range []string{"first", "second"} {
		for i := range each {
			want = append(want, fmt.Sprint(round, " topic ", i))
		}
	}
	consume(t, tr, other).want(append(want, "last")...)
}

func queueDepth(t *testing.T, tr router.Transport, m router.Marker) {
	depth := func(what string, want int) {
		t.Helper()
		last := -1
		eventually(t, fmt.Sprintf("%s, the depth is %d", what, want), func() bool {
			n, exists, err := m.QueueDepth(t.Context(), eventTopic, queueName)
			must(t, err)
			if n != last {
				last = n
				t.Logf("%s: %d", what, n)
			}
			return exists && n == want
		})
	}
	sub := eventSubscription()
	sub.Concurrency = 2
	must(t, subscriber(t, tr, sub).Declare(t.Context()))
	depth("at first", 0)
	for i := range 3 {
		must(t, tr.Publisher().Publish(eventTopic, note(fmt.Sprint("t", i), placed, "k"), note(fmt.Sprint("u", i), shipped, "k")))
	}
	must(t, tr.QueuePublisher().Publish(queueName, note("q1", shipped, "k"), note("q2", shipped, "k")))
	depth("with 3 messages of the topic and 2 of its own", 5)
	c := consume(t, tr, sub)
	for range 5 {
		c.ack(c.next())
	}
	depth("when all are received", 0)
	c.drain()
	depth("when all are acknowledged", 0)
	must(t, tr.Publisher().Publish(eventTopic, note("later", placed, "k")))
	depth("with another one", 1)
}
