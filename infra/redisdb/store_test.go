package redisdb_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/redisdb"
)

// onEach runs a test on the in-process Redis and on a real one.
func onEach(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	onEmbedded(t, f)
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		f(t, brokertest.Redis(t))
	})
}

// onEmbedded runs a test on an in-process Redis.
func onEmbedded(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		srv, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = srv.Close() })
		f(t, srv.URL())
	})
}

// open opens a store in a namespace of the test's own.
func open(t testing.TB, url string) *redisdb.Store {
	t.Helper()
	namespace := brokertest.Namespace(t)
	brokertest.CleanRedis(t, url, namespace)
	return openIn(t, url, namespace)
}

// openIn opens another store, as another process would, in a namespace that is
// shared and cleaned by somebody else.
func openIn(t testing.TB, url, namespace string) *redisdb.Store {
	t.Helper()
	return openWith(t, redisdb.Config{URL: url, Namespace: namespace})
}

func openWith(t testing.TB, cfg redisdb.Config) *redisdb.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := redisdb.Open(ctx, cfg)
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

// decision makes an append of n events on an aggregate at a version.
func decision(aggregateID, commandID string, version uint64, n int) events.AppendRequest {
	a := events.AppendRequest{
		Aggregate: "user", AggregateID: aggregateID, ExpectedVersion: version,
		Outcome: events.Outcome{
			Status: events.StatusAccepted, Command: "CREATE_USER", CommandID: commandID, CorrelationID: events.NewID(),
			Aggregate: "user", AggregateID: aggregateID, Version: version + uint64(n),
		},
	}
	for i := range n {
		e := events.Envelope{
			Header: events.Header{
				ID: events.NewID(), Type: "USER_CREATED", Timestamp: time.Now().UTC().Truncate(time.Millisecond),
				Aggregate: "user", AggregateID: aggregateID, Version: version + uint64(i) + 1,
				CorrelationID: a.Outcome.CorrelationID, CausationID: commandID, SchemaVersion: 1,
			},
			Data: json.RawMessage(`{"userId":"` + aggregateID + `","email":"ada.lovelace@example.com","name":"Ada Lovelace"}`),
		}
		a.Events = append(a.Events, e)
		a.Outcome.Events = append(a.Outcome.Events, events.EventRef{ID: e.ID, Type: e.Type, Version: e.Version})
	}
	return a
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
