package rabbitmq

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/infra/brokertest"
)

// The keys must match what RabbitMQ routes: a message that is taken for wanted, and is not
// routed, is an error. They are unexported, hence an internal test.
func TestBindingKeys_AsRabbitMQ(t *testing.T) {
	t.Parallel()
	url, exchange := brokertest.AMQP(t), brokertest.Namespace(t)
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	brokertest.CleanAMQP(t, url, nil, []string{exchange})
	if err := ch.ExchangeDeclare(exchange, "topic", false, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	patterns := []string{"A", "#", "*", "*.*", "A.#", "#.B", "A.*.C", "#.B.#", "*.#", "A_#", "A_*", "*.#.*", "#.#"}
	types := []string{"", "A", "B", "A.B", "A.B.C", "B.B", ".", "A.", "A_#", "A_B", "A..C", "X.A.B.C"}
	for _, pattern := range patterns {
		q, err := ch.QueueDeclare("", false, true, true, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := ch.QueueBind(q.Name, pattern, exchange, false, nil); err != nil {
			t.Fatal(err)
		}
		var keys bindingKeys
		keys.add(pattern)
		for _, typ := range types {
			confirm, err := ch.PublishWithDeferredConfirm(exchange, typ, false, false, amqp.Publishing{})
			if err != nil {
				t.Fatal(err)
			}
			confirm.Wait()
			_, routed, err := ch.Get(q.Name, true)
			if err != nil {
				t.Fatal(err)
			}
			if got := keys.match(typ); got != routed {
				t.Errorf("pattern %q and type %q: match is %t, and RabbitMQ says %t", pattern, typ, got, routed)
			}
		}
	}
	if (*bindingKeys)(nil).match("A") {
		t.Error("no keys match something")
	}
}
