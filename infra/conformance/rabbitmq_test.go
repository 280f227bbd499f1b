package conformance_test

import (
	"testing"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/porttest"
)

// TestRabbitMQ runs the suites for transports on RabbitMQ.
func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	brokertest.AMQP(t) // Without one the whole test is skipped.
	t.Run("Transport", func(t *testing.T) {
		t.Parallel()
		porttest.TestTransport(t, func(t *testing.T) router.Transport { return openRabbitMQ(t) })
	})
	t.Run("QueueAdmin", func(t *testing.T) {
		t.Parallel()
		porttest.TestQueueAdmin(t, func(t *testing.T) porttest.AdminTransport { return openRabbitMQ(t) })
	})
}

// openRabbitMQ opens a transport in a namespace of the test's own.
func openRabbitMQ(t *testing.T) *rabbitmq.Broker {
	t.Helper()
	url, namespace := brokertest.AMQP(t), brokertest.Namespace(t)
	queues, exchanges := porttest.TransportNames()
	for i := range queues {
		queues[i] = namespace + "." + queues[i]
	}
	for i := range exchanges {
		exchanges[i] = namespace + "." + exchanges[i]
	}
	for _, tier := range []string{".retry.1s", ".retry.1h"} {
		queues = append(queues, queues[0]+tier, queues[1]+tier)
	}
	brokertest.CleanAMQP(t, url, queues, exchanges)
	broker, err := rabbitmq.Open(rabbitmq.Config{URL: url, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	return broker
}
