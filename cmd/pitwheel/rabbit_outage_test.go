package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/brokertest"
)

// restarts is how often a broker is restarted, and how many commands are sent
// meanwhile. PITWHEEL_TEST_RESTARTS asks for more, as the acceptance of five does.
func restarts(t *testing.T) (times, commands int) {
	t.Helper()
	times = 2
	if v := os.Getenv("PITWHEEL_TEST_RESTARTS"); v != "" {
		var err error
		if times, err = strconv.Atoi(v); err != nil || times < 1 {
			t.Fatalf("PITWHEEL_TEST_RESTARTS is %q", v)
		}
	}
	return times, 400 * times
}

// handsOf is a configuration file that has the handlers of new users keep few
// goroutines, so that one too many shows.
func handsOf(t *testing.T, n int) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pitwheel.yaml")
	c := "{concurrency: " + strconv.Itoa(n) + "}\n"
	if err := os.WriteFile(file, []byte("handlers:\n  create-user: "+c+"  send-welcome: "+c), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// connections counts those of the service to a RabbitMQ.
func connections(s *brokertest.RabbitMQServer) int {
	list := s.Ctl("list_connections", "-q", "client_properties")
	return strings.Count(list, "pitwheel publish") + strings.Count(list, "pitwheel consume")
}

func (r *running) goroutines(t *testing.T) float64 {
	t.Helper()
	_, page := r.get(t, "/metrics")
	return metric(page, "go_goroutines")
}

// TestRabbitMQRestarts restarts RabbitMQ every 3 s while commands are sent: each one
// that is accepted is stored once, published and handled, and nothing is left over.
func TestRabbitMQRestarts(t *testing.T) {
	if testing.Short() {
		t.Skip("restarting a RabbitMQ takes a minute: run without -short")
	}
	t.Parallel()
	const hands = 8
	times, commands := restarts(t)
	server := brokertest.StartRabbitMQ(t)
	b := brokersAt(t, server.URL(), brokertest.StartRedis(t).URL())
	p := b.launch(t, "--config", handsOf(t, hands))
	published := b.ledger(t)
	outcomes := p.campaign(t, "before", 200, time.Millisecond)()
	connected, goroutines := connections(server), p.goroutines(t)

	finish := p.campaign(t, "during", commands, 20*time.Millisecond)
	for i := range times {
		<-time.After(3 * time.Second) // The interval is what is asked for.
		settled := p.boundedLog(t, "a restart")
		server.Stop()
		p.showsLoss(t, "rabbitmq")
		server.Start()
		p.worksAgain(t, "probe-"+strconv.Itoa(i))
		settled()
	}
	outcomes = append(outcomes, finish()...)
	for i := range times {
		o, err := p.insist(t.Context(), "probe-"+strconv.Itoa(i)) // The outcome that it had.
		if err != nil {
			t.Fatal(err)
		}
		outcomes = append(outcomes, o)
	}
	b.checkEverything(t, outcomes, published())
	eventually(t, "as many connections as before", func() bool { return connections(server) == connected })
	// Each handler may have hired the rest of its hands meanwhile.
	eventually(t, "as many goroutines as before", func() bool { return p.goroutines(t) <= goroutines+2*hands })
	t.Logf("%d connections before and %d after, %v goroutines before and %v after", connected, connections(server), goroutines, p.goroutines(t))
}
