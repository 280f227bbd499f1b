package porttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

func testDelivery(s suite[router.Transport]) {
	s.run("messages of one key come one at a time, other keys in parallel", func(t *testing.T, tr router.Transport) {
		sub := eventSubscription()
		sub.Concurrency = 4
		c := consume(t, tr, sub)
		must(t, tr.Publisher().Publish(eventTopic, note("a1", placed, "a"), note("a2", placed, "a"), note("b1", placed, "b"), note("c1", placed, "c"), note("d1", placed, "d")))
		held := map[string]*message.Message{}
		for range 4 { // None of them is acknowledged meanwhile.
			msg := c.next()
			held[msg.UUID] = msg
		}
		for _, id := range []string{"a1", "b1", "c1", "d1"} {
			if held[id] == nil {
				t.Fatalf("%s is not among those that are handled at once: %v", id, held)
			}
		}
		c.ack(held["b1"]) // There is room for a2 now, and it must wait for a1.
		c.nothing("a1 is not acknowledged yet")
		c.ack(held["a1"])
		c.want("a2")
		c.ack(held["c1"])
		c.ack(held["d1"])
		c.drain()
	})
	s.run("messages without key are not ordered", func(t *testing.T, tr router.Transport) {
		sub := eventSubscription()
		sub.Concurrency = 2
		c := consume(t, tr, sub)
		must(t, tr.Publisher().Publish(eventTopic, note("1", placed, ""), note("2", placed, "")))
		first, second := c.next(), c.next()
		c.ack(second)
		c.ack(first)
	})
	s.run("the subscription says what the key of a message is", func(t *testing.T, tr router.Transport) {
		sub := eventSubscription()
		sub.Key = func(m *message.Message) string { return m.Metadata["tenant"] }
		c := consume(t, tr, sub)
		one, two := note("1", placed, "a"), note("2", placed, "b")
		one.Metadata["tenant"], two.Metadata["tenant"] = "t", "t"
		must(t, tr.Publisher().Publish(eventTopic, one, two))
		first := c.next()
		c.nothing("both messages have the key t")
		c.ack(first)
		c.want("2")
	})
	s.run("no more than Concurrency messages are delivered at once", func(t *testing.T, tr router.Transport) {
		sub := eventSubscription()
		sub.Concurrency = 2
		wantAtOnce(t, tr, sub, 2)
	})
	s.run("no more than Prefetch messages are delivered and not acknowledged", func(t *testing.T, tr router.Transport) {
		sub := eventSubscription()
		sub.Prefetch = 3
		wantAtOnce(t, tr, sub, 3)
	})
	s.run("a delivered message has a context that outlives the subscription's", func(t *testing.T, tr router.Transport) {
		sub := subscriber(t, tr, eventSubscription())
		ctx, cancel := context.WithCancel(t.Context())
		out, err := sub.Subscribe(ctx, eventTopic)
		must(t, err)
		c := consumer{sub, t, out}
		eventually(t, "the subscription is ready", func() bool { return c.Ready() == nil })
		must(t, tr.Publisher().Publish(eventTopic, note("1", placed, "k")))
		msg := c.next()
		cancel() // Nothing more is delivered, and what is delivered may finish.
		must(t, msg.Context().Err())
		c.ack(msg)
		c.closed()
	})
	s.run("each key keeps its order through failures", keepsOrder)
	s.run("a key with many messages delays no other", func(t *testing.T, tr router.Transport) {
		sub := eventSubscription()
		sub.Concurrency = 2
		c := consume(t, tr, sub)
		const n = 1500 // More than Prefetch.
		var msgs []*message.Message
		var ids []string
		for i := range n {
			ids = append(ids, fmt.Sprint("hot ", i))
			msgs = append(msgs, note(ids[i], placed, "hot"))
		}
		must(t, tr.Publisher().Publish(eventTopic, msgs...))
		first := c.next()
		for _, id := range []string{"quiet 1", "quiet 2", "quiet 3"} {
			must(t, tr.Publisher().Publish(eventTopic, note(id, placed, "quiet")))
			c.want(id)
		}
		c.ack(first)
		c.want(ids[1:]...)
		c.drain()
	})
}

// wantAtOnce checks that n messages of different keys are delivered, and another one
// only when one of them is acknowledged.
func wantAtOnce(t *testing.T, tr router.Transport, sub router.Subscription, n int) {
	t.Helper()
	c := consume(t, tr, sub)
	var msgs []*message.Message
	for i := range n + 2 {
		msgs = append(msgs, note(fmt.Sprint(i), placed, fmt.Sprint(i)))
	}
	must(t, tr.Publisher().Publish(eventTopic, msgs...))
	held := make(chan *message.Message, n+2)
	for range n {
		held <- c.next()
	}
	for range 2 {
		c.nothing(fmt.Sprint(n, " messages are delivered already"))
		c.ack(<-held)
		held <- c.next()
	}
	close(held)
	for msg := range held {
		c.ack(msg)
	}
	c.drain()
}

// keepsOrder lets handlers of random duration fail now and then.
func keepsOrder(t *testing.T, tr router.Transport) {
	const keys, each, workers = 20, 25, 16
	sub := eventSubscription()
	sub.Concurrency = workers
	c := consume(t, tr, sub)
	var msgs []*message.Message
	var want []string
	for n := range each {
		want = append(want, fmt.Sprint(n))
		for k := range keys {
			msgs = append(msgs, note(fmt.Sprint(n), placed, fmt.Sprint(k)))
		}
	}
	must(t, tr.Publisher().Publish(eventTopic, msgs...))
	var mu sync.Mutex
	got, failed, busy := map[string][]string{}, map[string]bool{}, map[string]bool{}
	all := make(chan struct{}, len(msgs))
	var handlers sync.WaitGroup
	for range workers {
		handlers.Go(func() {
			for msg := range c.out {
				k := msg.Metadata[events.MetaAggregateID]
				mu.Lock()
				if busy[k] {
					t.Errorf("two messages of key %s at once", k)
				}
				busy[k] = true
				mu.Unlock()
				for range rand.IntN(100) { //nolint:gosec // It needs no secret.
					runtime.Gosched()
				}
				mu.Lock()
				busy[k] = false
				if at := k + "/" + msg.UUID; rand.IntN(50) == 0 && !failed[at] { //nolint:gosec // It needs no secret.
					failed[at] = true
					mu.Unlock()
					msg.Nack()
					continue
				}
				got[k] = append(got[k], msg.UUID)
				mu.Unlock()
				msg.Ack()
				all <- struct{}{}
			}
		})
	}
	for range msgs {
		wait(t, all)
	}
	must(t, c.Drain(t.Context()))
	handlers.Wait()
	for k := range keys {
		if diff := cmp.Diff(want, got[fmt.Sprint(k)]); diff != "" {
			t.Errorf("key %d (-want +got):\n%s", k, diff)
		}
	}
}

func testNack(s suite[router.Transport]) {
	s.run("a nacked message comes again with the metadata it has then", func(t *testing.T, tr router.Transport) {
		c := consume(t, tr, eventSubscription())
		sent := strange("1")
		must(t, tr.Publisher().Publish(eventTopic, sent, note("2", placed, "k")))
		msg := c.next()
		msg.Metadata[events.MetaAttempts] = "1"
		msg.Metadata["empty"] = "not any more"
		msg.Nack()
		sent.Metadata[events.MetaAttempts], sent.Metadata["empty"] = "1", "not any more"
		c.ack(wantWhole(t, sent, c.next()))
		c.want("2")
		c.drain()
	})
	s.run("a nacked message comes again after the pause it asks for", func(t *testing.T, tr router.Transport) {
		c := consume(t, tr, eventSubscription())
		const pause = 50 * time.Millisecond
		must(t, tr.Publisher().Publish(eventTopic, note("1", placed, "k"), note("2", placed, "k")))
		msg, began := c.next(), time.Now()
		msg.Metadata[events.MetaPause] = pause.String()
		msg.Nack()
		again := c.next()
		if spent := time.Since(began); again.UUID != "1" || spent < pause {
			t.Errorf("%s came after %s; want 1 after %s", again.UUID, spent, pause)
		}
		if left, ok := again.Metadata[events.MetaPause]; ok {
			t.Errorf("the pause %s is left in the metadata", left)
		}
		if err := again.Context().Err(); err != nil {
			t.Errorf("the context of the second delivery: %v", err)
		}
		c.ack(again)
		c.want("2")
	})
	s.run("a message that waits for its next attempt holds up its key alone", func(t *testing.T, tr router.Transport) {
		sub := eventSubscription()
		sub.Concurrency = 1 // It holds no place either.
		c := consume(t, tr, sub)
		must(t, tr.Publisher().Publish(eventTopic, note("a1", placed, "a"), note("a2", placed, "a")))
		msg := c.next()
		msg.Metadata[events.MetaPause] = time.Hour.String()
		msg.Nack()
		for i := range 5 {
			id := fmt.Sprint("b", i)
			must(t, tr.Publisher().Publish(eventTopic, note(id, placed, "b")))
			c.want(id)
		}
		c.nothing("a1 waits for an hour")
		// Another instance gets it at once: the pause is the subscriber's own.
		c.drain()
		consume(t, tr, sub).want("a1", "a2")
	})
}
