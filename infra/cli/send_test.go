package cli

import (
	"net"
	"testing"
	"time"
)

// deafBroker listens and never answers. It returns its address.
func deafBroker(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String() // The kernel takes the connections.
}

// The time-out of send bounds how long it looks for its brokers, too.
func TestSend_UnresponsiveBrokers(t *testing.T) {
	t.Parallel()
	deaf := deafBroker(t)
	b := newTestStore(t)
	for name, environ := range map[string][]string{
		"Redis":    {"PITWHEEL_REDIS_URL=redis://" + deaf},
		"the dev":  {"PITWHEEL_DEV_REDIS_ADDR=" + deaf},
		"RabbitMQ": append(b.environ, "PITWHEEL_AMQP_URL=amqp://"+deaf),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			r := pitwheel(t, environ, "send", "CREATE_USER", "-f", "email=ada@example.com", "-f", "name=Ada", "--wait", "--timeout", "200ms").exits(t, exitUnreachable)
			if took := time.Since(began); took >= reachLocalTimeout {
				t.Errorf("it took %s: %s", took, r.stderr)
			}
		})
	}
}
