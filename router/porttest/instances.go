package porttest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

func testInstances(s suite[router.Transport]) {
	s.run("instances share a queue", func(t *testing.T, tr router.Transport) {
		const n = 300
		got := make(chan string, 2*n)
		var msgs []*message.Message
		for i := range n {
			msgs = append(msgs, note(fmt.Sprint(i), placed, ""))
		}
		for range 3 {
			c := consume(t, tr, eventSubscription())
			go func() { // It ends with the subscription.
				for msg := range c.out {
					got <- msg.UUID
					msg.Ack()
				}
			}()
		}
		must(t, tr.Publisher().Publish(eventTopic, msgs...))
		times := map[string]int{}
		for range n {
			times[waitFor(t, got)]++
		}
		if len(times) != n {
			t.Errorf("%d different messages came; want each of %d once", len(times), n)
		}
	})
	s.run("of ordered instances one consumes at a time", consumesInTurn)
}

// consumesInTurn lets a second instance follow the first.
func consumesInTurn(t *testing.T, tr router.Transport) {
	sub := eventSubscription()
	sub.Ordered = true
	type delivery struct {
		by  int
		msg *message.Message
	}
	all := make(chan delivery)
	instances := []consumer{consume(t, tr, sub), consume(t, tr, sub)}
	for i, c := range instances {
		go func() {
			for msg := range c.out {
				select {
				case all <- delivery{i, msg}:
				case <-t.Context().Done():
					return
				}
			}
		}()
	}
	receive := func(want string) int {
		t.Helper()
		d := waitFor(t, all)
		if d.msg.UUID != want {
			t.Errorf("got %s; want %s", d.msg.UUID, want)
		}
		d.msg.Ack()
		return d.by
	}
	must(t, tr.Publisher().Publish(eventTopic, note("1", placed, "k"), note("2", placed, "k"), note("3", placed, "k")))
	leader := receive("1")
	if receive("2") != leader || receive("3") != leader {
		t.Error("two instances consume at the same time")
	}
	must(t, instances[leader].Drain(t.Context()))
	must(t, tr.Publisher().Publish(eventTopic, note("4", placed, "k"), note("5", placed, "k")))
	if receive("4") == leader || receive("5") == leader {
		t.Error("an instance consumes after its drain")
	}
}

func testDrain(s suite[router.Transport]) {
	s.run("a drain waits for what is delivered", func(t *testing.T, tr router.Transport) {
		sub := eventSubscription()
		sub.Concurrency = 2
		c := consume(t, tr, sub)
		must(t, tr.Publisher().Publish(eventTopic, note("1", placed, "k"), note("2", placed, "k")))
		msg := c.next()
		drained := make(chan error, 1)
		go func() { drained <- c.Drain(t.Context()) }()
		eventually(t, "a subscriber that drains is not ready", func() bool { return c.Ready() != nil })
		must(t, msg.Context().Err())
		select {
		case err := <-drained:
			t.Errorf("the drain ended with a message that is neither acked nor nacked: %v", err)
		case <-time.After(glance):
		}
		c.ack(msg)
		must(t, waitFor(t, drained))
		c.closed()
		must(t, c.Drain(t.Context()))
		if _, err := c.Subscribe(t.Context(), eventTopic); events.CodeOf(err) != events.CodeShuttingDown {
			t.Errorf("a subscription after the drain: %v", err)
		}
		// What was acknowledged does not come again, and the rest does.
		next := consume(t, tr, sub)
		next.want("2")
		next.nothing("everything is acknowledged")
	})
	s.run("a drain that is cut short leaves the rest to another instance", func(t *testing.T, tr router.Transport) {
		sub := eventSubscription()
		sub.Concurrency = 2
		c := consume(t, tr, sub)
		must(t, tr.Publisher().Publish(eventTopic, note("a1", placed, "a"), note("b1", placed, "b"), note("a2", placed, "a")))
		held := map[string]*message.Message{}
		for range 2 {
			msg := c.next()
			held[msg.UUID] = msg
		}
		c.ack(held["b1"])
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(glance, cancel)
		if err := c.Drain(ctx); err == nil {
			t.Error("a drain that is cut short is not an error")
		}
		c.closed()
		wait(t, held["a1"].Context().Done())
		held["a1"].Ack() // It is too late, and must not count.
		consume(t, tr, sub).want("a1", "a2")
	})
	s.run("a drain of a subscriber that never subscribed ends at once", func(t *testing.T, tr router.Transport) {
		must(t, subscriber(t, tr, eventSubscription()).Drain(t.Context()))
	})
}
