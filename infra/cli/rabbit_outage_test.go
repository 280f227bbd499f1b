package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
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

// withConcurrency is a configuration file that has the handlers of new users keep few
// goroutines, so that one too many shows.
func withConcurrency(t *testing.T, n int) string {
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

// TestRabbitMQ_Restarts restarts RabbitMQ every 3 s while commands are sent: each one
// that is accepted is stored once, published and handled, and nothing is left over.
func TestRabbitMQ_Restarts(t *testing.T) {
	if testing.Short() {
		t.Skip("restarting a RabbitMQ takes a minute: run without -short")
	}
	t.Parallel()
	const workers = 8
	times, commands := restarts(t)
	server := brokertest.StartRabbitMQ(t)
	b := brokersAt(t, server.URL(), brokertest.StartRedis(t).URL())
	p := b.launch(t, "--config", withConcurrency(t, workers))
	published := b.recorder(t)
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
	programtest.Eventually(t, "as many connections as before", func() bool { return connections(server) == connected })
	// Each handler may have started the rest of its workers meanwhile.
	programtest.Eventually(t, "as many goroutines as before", func() bool { return p.goroutines(t) <= goroutines+2*workers })
	t.Logf("%d connections before and %d after, %v goroutines before and %v after", connected, connections(server), goroutines, p.goroutines(t))
}

// TestRabbitMQ_Outages has RabbitMQ short of memory, its connections closed and
// queues deleted, one after the other, under a service that recovers by itself.
func TestRabbitMQ_Outages(t *testing.T) {
	if testing.Short() {
		t.Skip("starting a RabbitMQ takes some seconds: run without -short")
	}
	t.Parallel()
	server := brokertest.StartRabbitMQ(t)
	b := brokersAt(t, server.URL(), brokertest.StartRedis(t).URL())
	p := b.launch(t)
	published := b.recorder(t)
	outcomes := p.campaign(t, "before", 20, time.Millisecond)()
	again := func(what string) {
		t.Helper()
		outcomes = append(outcomes, p.worksAgain(t, what))
	}
	value := func(name string) float64 { return p.brokerMetric(t, "rabbitmq", name) }

	settled := p.boundedLog(t, "short of memory")
	server.Ctl("set_vm_memory_high_watermark", "absolute", "1MB")
	began := time.Now()
	send := []string{"send", "CREATE_USER", "-f", "email=late@example.com", "-f", "name=Late", "--id", "late", "--wait", "-o", "json"}
	r := pitwheel(t, b.environ, append(send, "--timeout", "2s")...)
	if took := time.Since(began); r.code != exitTimeout && r.code != exitUnreachable || took > slack*4*time.Second {
		t.Errorf("a command with 2s to go ended after %s with %d: %s", took, r.code, r.stderr)
	}
	// A service learns it by publishing. Nobody waits for the answer any longer than
	// it takes to show.
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_, _ = p.insist(ctx, "late-too") // It is sent again below.
	}()
	p.showsBlock(t, "rabbitmq")
	cancel()
	<-asked
	server.Ctl("set_vm_memory_high_watermark", "0.9")
	again("late-too")
	var late events.Outcome
	if out := pitwheel(t, b.environ, send...).ok(t).stdout; json.Unmarshal([]byte(out), &late) != nil || late.Status != events.StatusAccepted {
		t.Errorf("the outcome is %s", out)
	}
	outcomes = append(outcomes, late)
	if v := value("pitwheel_broker_blocked"); v != 0 {
		t.Errorf("pitwheel_broker_blocked is still %v", v)
	}
	settled()

	settled = p.boundedLog(t, "connections closed")
	server.Ctl("close_all_connections", "a test")
	programtest.Eventually(t, "a reconnect", func() bool { return value("pitwheel_broker_reconnects_total") > 0 })
	again("closed")
	settled()
	b.checkEverything(t, outcomes, published())

	settled = p.boundedLog(t, "queues deleted")
	ch := b.channel(t)
	queues := []string{"create-user", "notification-service", "notification-service.poison"}
	for _, queue := range queues {
		if _, err := ch.QueueDelete(b.named(queue), false, false, false); err != nil {
			t.Fatal(err)
		}
	}
	began = time.Now()
	for _, queue := range queues {
		programtest.Eventually(t, "the queue "+queue+" to be consumed", func() bool {
			q, err := b.channel(t).QueueDeclarePassive(b.named(queue), true, false, false, false, nil)
			return err == nil && q.Consumers > 0
		})
	}
	again("deleted")
	if took := time.Since(began); took > back {
		t.Errorf("after the queues were deleted it took %s to work again", took)
	}
	settled()
	b.checkEverything(t, outcomes, nil)
	if code := p.Stop(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
}
