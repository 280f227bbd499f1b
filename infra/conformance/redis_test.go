package conformance_test

import (
	"context"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/porttest"
)

// store is every port that a store implements.
type store interface {
	porttest.EventLog
	router.Checkpoints
	router.ProjectionStore
	router.Inbox
	porttest.LedgerStore
	router.Parking
	porttest.PoisonStore
	router.Elector
}

// runStores runs the suites of all ports of a store.
func runStores(t *testing.T, open func(t *testing.T) store) {
	t.Helper()
	for name, suite := range map[string]func(*testing.T){
		"Log":             func(t *testing.T) { porttest.TestLog(t, as[router.Log](open)) },
		"LogReader":       func(t *testing.T) { porttest.TestLogReader(t, as[porttest.EventLog](open)) },
		"Checkpoints":     func(t *testing.T) { porttest.TestCheckpoints(t, as[router.Checkpoints](open)) },
		"ProjectionStore": func(t *testing.T) { porttest.TestProjectionStore(t, as[router.ProjectionStore](open)) },
		"Inbox":           func(t *testing.T) { porttest.TestInbox(t, as[router.Inbox](open)) },
		"Ledger":          func(t *testing.T) { porttest.TestLedger(t, as[porttest.LedgerStore](open)) },
		"Parking":         func(t *testing.T) { porttest.TestParking(t, as[router.Parking](open)) },
		"PoisonStore":     func(t *testing.T) { porttest.TestPoisonStore(t, as[porttest.PoisonStore](open)) },
		"Elector":         func(t *testing.T) { porttest.TestElector(t, as[router.Elector](open)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite(t)
		})
	}
}

func as[P any](open func(t *testing.T) store) func(t *testing.T) P {
	return func(t *testing.T) P { return any(open(t)).(P) }
}

// TestEmbeddedRedis runs the suites on an in-process Redis.
func TestEmbeddedRedis(t *testing.T) {
	t.Parallel()
	runRedis(t, func(t *testing.T) string {
		srv, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = srv.Close() })
		return srv.URL()
	})
}

// TestRedis runs the suites on a real Redis.
func TestRedis(t *testing.T) {
	t.Parallel()
	brokertest.Redis(t) // Without one the whole test is skipped.
	runRedis(t, func(t *testing.T) string { return brokertest.Redis(t) })
}

func runRedis(t *testing.T, url func(t *testing.T) string) {
	open := func(t *testing.T) *redis.Store { return openRedis(t, url(t)) }
	runStores(t, func(t *testing.T) store { return open(t) })
	t.Run("Transport", func(t *testing.T) {
		t.Parallel()
		porttest.TestTransport(t, func(t *testing.T) router.Transport { return open(t) })
	})
	t.Run("QueueAdmin", func(t *testing.T) {
		t.Parallel()
		porttest.TestQueueAdmin(t, func(t *testing.T) porttest.AdminTransport { return open(t) })
	})
	t.Run("Topology", func(t *testing.T) {
		t.Parallel()
		porttest.TestTopology(t, func(t *testing.T) router.Topology { return open(t) })
	})
}

// openRedis opens a store in a namespace of the test's own.
func openRedis(t *testing.T, url string) *redis.Store {
	t.Helper()
	namespace := brokertest.Namespace(t)
	brokertest.CleanRedis(t, url, namespace)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := redis.Open(ctx, redis.Config{URL: url, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
