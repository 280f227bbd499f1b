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

// What the suite for transports uses: two topics, two queues, and the types of their
// messages.
const (
	eventTopic   = "order.events"
	commandTopic = "order.commands"
	queueName    = "q"
	otherQueue   = "other"
	placed       = "ORDER_PLACED"
	shipped      = "ORDER_SHIPPED"
)

// TransportNames returns the queues and topics that [TestTransport] uses, to be removed
// from a broker afterwards. A transport may create further ones for a queue, such as its
// poison queue, which are not among them.
func TransportNames() (queues, topics []string) {
	return []string{queueName, otherQueue}, []string{eventTopic, commandTopic}
}

// TestTransport checks an implementation of [router.Transport] and of the
// [router.Subscriber] it returns. Each subscriber counts as an instance.
func TestTransport(t *testing.T, open func(t *testing.T) router.Transport) {
	s := suite[router.Transport]{t, open}
	testPublishing(s)
	testQueues(s)
	testDelivery(s)
	testNack(s)
	testInstances(s)
	testDrain(s)
	testAcks(s)
	testMarks(s)
}

func testPublishing(s suite[router.Transport]) {
	s.run("a message arrives byte for byte", func(t *testing.T, tr router.Transport) {
		c := consume(t, tr, eventSubscription())
		sent := strange("1")
		must(t, tr.Publisher().Publish(eventTopic, sent))
		c.ack(wantWhole(t, sent, c.next()))
		must(t, tr.QueuePublisher().Publish(queueName, sent))
		c.ack(wantWhole(t, sent, c.next()))
	})
	s.run("a large message arrives byte for byte", func(t *testing.T, tr router.Transport) {
		c := consume(t, tr, eventSubscription())
		sent := note("1", placed, "k")
		sent.Payload = make([]byte, 1<<20)
		for i := range sent.Payload {
			sent.Payload[i] = byte(i * i)
		}
		must(t, tr.Publisher().Publish(eventTopic, sent))
		c.ack(wantWhole(t, sent, c.next()))
	})
	s.run("a queue gets the types it is bound to", func(t *testing.T, tr router.Transport) {
		sub := eventSubscription()
		first := consume(t, tr, sub)
		sub.Queue, sub.Types = otherQueue, []string{shipped}
		second := consume(t, tr, sub)
		// They have one key: what is not wanted would come in between.
		must(t, tr.Publisher().Publish(eventTopic, note("1", placed, "k"), note("2", shipped, "k"), note("3", placed, "k"), note("4", shipped, "k")))
		first.want("1", "3")
		second.want("2", "4")
		must(t, tr.QueuePublisher().Publish(queueName, note("5", shipped, "k"))) // It is meant for the queue, whatever its type.
		first.want("5")
	})
	s.run("messages of one call and of calls in a row keep their order", func(t *testing.T, tr router.Transport) {
		sub := eventSubscription()
		sub.Key = func(*message.Message) string { return "all" }
		c := consume(t, tr, sub)
		var want []string
		for call := range 20 {
			var msgs []*message.Message
			for n := range 30 {
				id := fmt.Sprint(call, "-", n)
				want, msgs = append(want, id), append(msgs, note(id, placed, ""))
			}
			must(t, tr.Publisher().Publish(eventTopic, msgs...))
		}
		c.want(want...)
	})
	s.run("a command without a handler is an error, an event is not", func(t *testing.T, tr router.Transport) {
		p := tr.Publisher()
		wantCode(t, "no queue is declared", p.Publish(commandTopic, note("1", "PLACE_ORDER", "k")), events.CodeUnhandled)
		must(t, p.Publish(eventTopic, note("1", placed, "k")))
		sub := router.Subscription{Handler: "h", Topic: commandTopic, Types: []string{"PLACE_ORDER"}, Queue: queueName}
		must(t, subscriber(t, tr, sub).Declare(t.Context()))
		must(t, p.Publish(commandTopic, note("2", "PLACE_ORDER", "k")))
		wantCode(t, "no queue is bound to the type", p.Publish(commandTopic, note("3", "CANCEL_ORDER", "k")), events.CodeUnhandled)
		consume(t, tr, sub).want("2")
	})
	s.run("a publish honours the context of each message", func(t *testing.T, tr router.Transport) {
		must(t, subscriber(t, tr, eventSubscription()).Declare(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		msg := note("1", placed, "k")
		msg.SetContext(ctx)
		for name, publish := range map[string]error{
			"to a topic":    tr.Publisher().Publish(eventTopic, msg),
			"into a queue":  tr.QueuePublisher().Publish(queueName, msg),
			"after a delay": tr.Delay(ctx, queueName, 0, note("1", placed, "k")),
		} {
			if publish == nil {
				t.Errorf("%s: a publish whose context has ended is not an error", name)
			}
		}
	})
	s.run("closing a publisher closes only itself", func(t *testing.T, tr router.Transport) {
		c := consume(t, tr, eventSubscription())
		first, second := tr.Publisher(), tr.Publisher()
		must(t, first.Close())
		wantCode(t, "a closed publisher", first.Publish(eventTopic, note("1", placed, "k")), events.CodeShuttingDown)
		must(t, second.Publish(eventTopic, note("2", placed, "k")))
		c.want("2")
	})
	s.run("a delayed message arrives whole, and not too soon", func(t *testing.T, tr router.Transport) {
		c := consume(t, tr, eventSubscription())
		const delay = 50 * time.Millisecond
		sent, began := strange("1"), time.Now()
		sent.Metadata.Set(events.MetaType, shipped) // It is meant for the queue, whatever its type.
		must(t, tr.Delay(t.Context(), queueName, delay, sent, note("2", placed, "")))
		got := map[string]*message.Message{}
		for range 2 {
			msg := c.next()
			got[msg.UUID] = msg
			c.ack(msg)
		}
		if spent := time.Since(began); spent < delay {
			t.Errorf("they came after %s; want %s", spent, delay)
		}
		if got["1"] == nil || got["2"] == nil {
			t.Fatalf("other messages than delayed: %v", got)
		}
		wantWhole(t, sent, got["1"])
	})
}

func testQueues(s suite[router.Transport]) {
	s.run("a queue is there once a subscriber has declared it", func(t *testing.T, tr router.Transport) {
		has := func(want bool, when string) {
			t.Helper()
			if got := get[bool](t)(tr.HasQueue(t.Context(), queueName)); got != want {
				t.Errorf("%s HasQueue is %v", when, got)
			}
		}
		has(false, "at first")
		sub := subscriber(t, tr, eventSubscription())
		has(false, "with a subscriber that has not declared it")
		must(t, tr.QueuePublisher().Publish(queueName, note("1", placed, "k")))
		has(false, "after a publish into it")
		must(t, sub.Declare(t.Context()))
		has(true, "after Declare")
		must(t, sub.Declare(t.Context()))
		has(true, "after another Declare")
		must(t, sub.Close())
		has(true, "without a subscriber")
	})
	s.run("what is published into a queue before it is declared waits", func(t *testing.T, tr router.Transport) {
		must(t, tr.QueuePublisher().Publish(queueName, note("1", placed, "k")))
		c := consume(t, tr, eventSubscription())
		must(t, tr.QueuePublisher().Publish(queueName, note("2", placed, "k")))
		c.want("1", "2")
	})
	s.run("what is published after Declare waits for a subscriber", func(t *testing.T, tr router.Transport) {
		declaring := subscriber(t, tr, eventSubscription())
		must(t, declaring.Declare(t.Context()))
		must(t, declaring.Close())
		must(t, tr.Publisher().Publish(eventTopic, note("1", placed, "k"), note("2", placed, "k")))
		consume(t, tr, eventSubscription()).want("1", "2")
	})
	s.run("a queue without topic gets what is published into it", func(t *testing.T, tr router.Transport) {
		c := consume(t, tr, router.Subscription{Handler: "h", Queue: "q.poison"})
		must(t, tr.Publisher().Publish(eventTopic, note("1", placed, "k")))
		must(t, tr.QueuePublisher().Publish("q.poison", note("2", placed, "k")))
		c.want("2")
	})
	s.run("a wrong subscription is an error", func(t *testing.T, tr router.Transport) {
		for name, spoil := range map[string]func(*router.Subscription){
			"no queue":               func(s *router.Subscription) { s.Queue = "" },
			"types without a topic":  func(s *router.Subscription) { s.Topic = "" },
			"a negative concurrency": func(s *router.Subscription) { s.Concurrency = -1 },
			"a negative prefetch":    func(s *router.Subscription) { s.Prefetch = -1 },
		} {
			sub := eventSubscription()
			spoil(&sub)
			_, err := tr.Subscriber(sub)
			wantCode(t, name, err, events.CodeConfig)
		}
	})
}
