// Package redistest has what tests of the store share: stores on an in-process Redis and
// on a real one, test data, and waiting. It is imported by tests only.
package redistest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
)

// patience is how long a test waits for what should not take long.
const patience = 3 * time.Minute

// OnEach runs a test on an in-process Redis and on a real one.
func OnEach(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	OnEmbedded(t, f)
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		f(t, brokertest.Redis(t))
	})
}

// OnEmbedded runs a test on an in-process Redis.
func OnEmbedded(t *testing.T, f func(t *testing.T, url string)) {
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

// Namespace returns a namespace of the test's own, which is removed when the test ends.
func Namespace(t testing.TB, url string) string {
	t.Helper()
	namespace := brokertest.Namespace(t)
	brokertest.CleanRedis(t, url, namespace)
	return namespace
}

// Open opens a store in a namespace of the test's own.
func Open(t testing.TB, url string) *redis.Store {
	t.Helper()
	return OpenIn(t, url, Namespace(t, url))
}

// OpenIn opens another store, as another process would, in a namespace that is shared.
func OpenIn(t testing.TB, url, namespace string) *redis.Store {
	t.Helper()
	return OpenWith(t, redis.Config{URL: url, Namespace: namespace})
}

// OpenWith opens a store, and closes it when the test ends.
func OpenWith(t testing.TB, cfg redis.Config) *redis.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := redis.Open(ctx, cfg)
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

// Decision returns an append of n events on an aggregate at a version.
func Decision(aggregateID, commandID string, version uint64, n int) events.AppendRequest {
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

// Message returns a message with an id, type and key.
func Message(id, kind, key string) *message.Message {
	msg := message.NewMessage(id, []byte(`{"id":"`+id+`"}`))
	msg.Metadata.Set(events.MetaType, kind)
	msg.Metadata.Set(events.MetaAggregateID, key)
	return msg
}

// Subscriber returns a subscriber that is closed when the test ends. The handler's name is
// that of its queue unless given.
func Subscriber(t testing.TB, s *redis.Store, cfg router.Subscription) router.Subscriber {
	t.Helper()
	if cfg.Handler == "" {
		cfg.Handler = cfg.Queue
	}
	sub := Must[router.Subscriber](t)(s.Subscriber(cfg))
	t.Cleanup(func() {
		if err := sub.Close(); err != nil {
			t.Error(err)
		}
	})
	return sub
}

// Next returns the next message, or fails the test after three minutes.
func Next(t testing.TB, from <-chan *message.Message) *message.Message {
	t.Helper()
	msg := Receive(t, from)
	if msg == nil {
		t.Fatal("the subscription has ended")
	}
	return msg
}

// Receive receives from a channel, or fails the test after three minutes.
func Receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing was received within %s", patience)
		panic("unreachable")
	}
}

// Pending returns how many entries of a stream a group has read and not acknowledged.
func Pending(t testing.TB, s *redis.Store, stream, group string) int64 {
	t.Helper()
	return Must[*goredis.XPending](t)(s.Client().XPending(t.Context(), stream, group).Result()).Count
}

// Eventually polls until f holds, or fails the test after three minutes.
func Eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !f() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// WantField checks that an error has the code CONFIG and names a field of the
// configuration.
func WantField(t testing.TB, err error, field string) {
	t.Helper()
	var wrong *events.Error
	if !errors.As(err, &wrong) || wrong.Code != events.CodeConfig || wrong.Field != field {
		t.Errorf("got %v; want CONFIG for the field %s", err, field)
	}
}

// Must returns a function that returns its first argument, or fails the test with the
// second.
func Must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
