package rabbitmq_test

import (
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

// TestBroker_Vhost keeps to the vhost of its URL, whose name needs escaping, and so does a
// test that puts a proxy before the broker: nothing is declared in the default vhost.
func TestBroker_Vhost(t *testing.T) {
	if testing.Short() {
		t.Skip("starting a RabbitMQ takes some seconds: run without -short")
	}
	t.Parallel()
	const vhost = "team/a b"
	server := brokertest.StartRabbitMQ(t)
	server.Ctl("add_vhost", vhost)
	server.Ctl("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
	b := newBenchAt(t, server.URL()+"team%2Fa%20b")
	out := b.subscribe(b.subscriber(func(s *router.Subscription) { s.Queue = "q" }))
	if err := b.broker.Publisher().Publish("user.events", created("1")); err != nil {
		t.Fatal(err)
	}
	receive(t, out).Ack()

	queues := func(vhost string) string { return server.Ctl("list_queues", "-q", "-p", vhost, "name") }
	if got := queues(vhost); !strings.Contains(got, b.ns+".q\n") {
		t.Fatalf("the vhost has the queues %q", got)
	}
	if got := queues("/"); strings.Contains(got, b.ns) {
		t.Errorf("the default vhost has the queues %q", got)
	}

	wrong := newBenchAt(t, server.URL()+"team%2Fa%20b", func(c *rabbitmq.Config) { c.URL = brokertest.WithPassword(t, c.URL, "geheim") })
	eventually(t, "the broker refuses the password", func() bool { return events.CodeOf(wrong.broker.Ready()) == events.CodeConfig })
	if err := wrong.broker.Ready(); !strings.Contains(err.Error(), vhost) {
		t.Errorf("the error does not name the vhost: %v", err)
	}
}
