package conformance_test

import (
	"testing"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/porttest"
)

// TestRabbitMQ runs the suite for transports on RabbitMQ.
func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	brokertest.AMQP(t) // Without one the whole test is skipped.
	porttest.TestTransport(t, func(t *testing.T) router.Transport {
		url, namespace := brokertest.AMQP(t), brokertest.Namespace(t)
		queues, exchanges := porttest.TransportNames()
		for i := range queues {
			queues[i] = namespace + "." + queues[i]
		}
		for i := range exchanges {
			exchanges[i] = namespace + "." + exchanges[i]
		}
		brokertest.CleanAMQP(t, url, append(queues, queues[0]+".retry.1s"), exchanges)
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
	})
}
