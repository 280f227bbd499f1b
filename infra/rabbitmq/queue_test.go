package rabbitmq_test

import (
	"encoding/json"
	"testing"

	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

// What the broker dead-letters is received from the poison queue, which is not bound, with
// the reason in the header x-death.
func TestSubscriber_PoisonQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *rabbitmq.Config) { c.DeliveryLimit = 1 })
	poison := b.subscriber(func(c *router.Subscription) {
		*c = router.Subscription{Handler: "poison:h", Queue: "q.poison"}
	})
	sub := b.subscriber() // Declares the poison queue again, and must agree.
	out := b.subscribe(sub)
	if err := b.broker.Publisher().Publish("user.events", created("1")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		receive(t, out)
		b.proxy.Cut()
	}
	received, err := poison.Subscribe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	msg := receive(t, received)
	msg.Ack()
	var deaths []struct {
		Reason, Queue, Time string
		Keys                []string `json:"routing-keys"`
	}
	if err := json.Unmarshal([]byte(msg.Metadata["x-death"]), &deaths); err != nil || len(deaths) != 1 {
		t.Fatalf("x-death is %s", msg.Metadata["x-death"])
	}
	if d := deaths[0]; d.Reason != "delivery_limit" || d.Queue != b.ns+".q" || d.Time == "" || len(d.Keys) != 1 || d.Keys[0] != "USER_CREATED" {
		t.Errorf("x-death is %+v", d)
	}
	if msg.UUID != "1" || msg.Metadata["type"] != "USER_CREATED" {
		t.Errorf("the poison message is %s with %v", msg.UUID, msg.Metadata)
	}
	eventually(t, "the poison queue is empty", func() bool { return b.depth("q.poison") == 0 })
}

func TestBroker_HasQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, want := range map[string]bool{"q": true, "q.poison": true, "missing": false} {
		b.subscriber()
		got, err := b.broker.HasQueue(t.Context(), name)
		if err != nil || got != want {
			t.Errorf("HasQueue(%q) is %v, %v, want %v", name, got, err, want)
		}
	}
}

func TestBroker_Subscriber_TypesNeedATopic(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if _, err := b.broker.Subscriber(router.Subscription{Queue: "q", Types: []string{"USER_CREATED"}}); err == nil {
		t.Error("types without a topic are accepted")
	}
}
