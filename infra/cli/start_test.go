package cli

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/infra/brokertest"
)

// A start that does not come to its end says what it waits for, and why.
func TestServe_LogsWhatStartWaitsFor(t *testing.T) {
	t.Parallel()
	t.Run("no RabbitMQ", func(t *testing.T) {
		t.Parallel()
		url := brokertest.Redis(t)
		b := brokersAt(t, "amqp://127.0.0.1:1/", url)
		brokertest.CleanRedis(t, url, b.namespace)
		r := start(t, b.environ, "serve")
		r.errs.Await(t, `"level":"WARN","msg":"still starting, not every handler is consuming".*"waiting_for":\{.*"rabbitmq":"[^"]*127.0.0.1:1`)
		r.end(t)
	})
	t.Run("a queue with other arguments", func(t *testing.T) {
		t.Parallel()
		b := realBrokers(t)
		if _, err := b.channel(t).QueueDeclare(b.named("notification-service"), true, false, false, false, amqp.Table{"x-message-ttl": 1000}); err != nil {
			t.Fatal(err)
		}
		r := start(t, b.environ, "serve")
		r.errs.Await(t, `"level":"WARN","msg":"still starting, not every handler is consuming".*"waiting_for":\{.*"send-welcome":"[^"]*notification-service with other arguments`)
		r.end(t)
	})
}
