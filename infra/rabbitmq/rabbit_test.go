package rabbitmq_test

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 3 * time.Minute

// bench is a broker with a namespace of its own, reached through a proxy that can fail, and
// a plain client.
type bench struct {
	t      testing.TB
	url    string
	ns     string
	proxy  *brokertest.Proxy
	broker *rabbitmq.Broker
	plain  *amqp.Channel
}

// newBench removes the queues "q" and "other" and the exchanges user.events and user.commands at the end.
func newBench(t testing.TB, adapt ...func(*rabbitmq.Config)) *bench {
	t.Helper()
	return newBenchAt(t, brokertest.AMQP(t), adapt...)
}

// newBenchAt is newBench on the broker at a URL.
func newBenchAt(t testing.TB, url string, adapt ...func(*rabbitmq.Config)) *bench {
	t.Helper()
	uri, err := amqp.ParseURI(url)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, url: url, ns: brokertest.Namespace(t)}
	brokertest.CleanAMQP(t, url, []string{b.ns + ".q", b.ns + ".other"}, []string{b.ns + ".user.events", b.ns + ".user.commands"})
	b.proxy = brokertest.NewProxy(t, net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)))
	cfg := rabbitmq.Config{
		URL:        brokertest.AtAddress(t, url, b.proxy.Addr()),
		Namespace:  b.ns,
		MinBackoff: 10 * time.Millisecond,
		MaxBackoff: 200 * time.Millisecond,
	}
	for _, f := range adapt {
		f(&cfg)
	}
	if cfg.URL == "" {
		cfg.URL = url
	}
	b.broker, err = rabbitmq.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.broker.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	b.plain, err = conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// direct bypasses the proxy, for benchmarks.
func direct(c *rabbitmq.Config) { c.URL = "" }

// direct returns a plain connection of its own.
func (b *bench) direct(t testing.TB) (*amqp.Connection, *amqp.Channel) {
	t.Helper()
	conn, err := amqp.Dial(b.url)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return conn, ch
}

func (b *bench) subscriber(adapt ...func(*router.Subscription)) router.Subscriber {
	b.t.Helper()
	cfg := router.Subscription{Handler: "h", Topic: "user.events", Types: []string{"USER_CREATED"}, Queue: "q"}
	for _, f := range adapt {
		f(&cfg)
	}
	s, err := b.broker.Subscriber(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := s.Declare(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) subscribe(s router.Subscriber) <-chan *message.Message {
	b.t.Helper()
	out, err := s.Subscribe(context.Background(), "user.events")
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) depth(queue string) int {
	b.t.Helper()
	q, err := b.plain.QueueDeclarePassive(b.ns+"."+queue, true, false, false, false, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return q.Messages
}

func created(id string) *message.Message {
	msg := message.NewMessage(id, []byte(`{"id":"`+id+`","type":"USER_CREATED","data":{}}`))
	msg.Metadata.Set(events.MetaType, "USER_CREATED")
	return msg
}

func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = watermill.NewUUID()
	}
	return out
}

func receive(t testing.TB, out <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg, ok := <-out:
		if !ok {
			t.Fatal("the channel of messages is closed")
		}
		return msg
	case <-time.After(patience):
		t.Fatal("no message came")
	}
	return nil
}

// eventually polls until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
