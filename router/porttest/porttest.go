package porttest

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// patience bounds every wait for something that must happen.
	patience = 2 * time.Minute
	// glance is how long something that must not happen is looked for.
	glance = 20 * time.Millisecond
	// aggregate is the type of the aggregates that the suites use.
	aggregate = "order"
)

// suite runs each case on an implementation of its own.
type suite[P any] struct {
	t    *testing.T
	open func(t *testing.T) P
}

// run runs one case in parallel with the others.
func (s suite[P]) run(name string, f func(t *testing.T, port P)) {
	s.t.Run(name, func(t *testing.T) {
		t.Parallel()
		f(t, s.open(t))
	})
}

// tb is a test, or a check of rapid within one.
type tb = rapid.TB

// must fails the test on an error.
func must(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get returns a function that unwraps a result, or fails the test on an error.
func get[T any](t tb) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// wantCode checks the code of an error.
func wantCode(t tb, what string, err error, code string) {
	t.Helper()
	if err == nil || events.CodeOf(err) != code {
		t.Errorf("%s: the error is %v, want the code %s", what, err, code)
	}
}

// eventually polls until f holds.
func eventually(t tb, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// request returns an append of n events to an aggregate at a version, with an outcome
// that names them.
func request(id, commandID string, version uint64, n int) events.AppendRequest {
	a := events.AppendRequest{
		Aggregate: aggregate, AggregateID: id, ExpectedVersion: version,
		Outcome: events.Outcome{
			Status: events.StatusAccepted, Command: "PLACE_ORDER", CommandHash: "hash/7", CommandID: commandID, CorrelationID: events.NewID(),
			Aggregate: aggregate, AggregateID: id, Version: version + uint64(n), //nolint:gosec // n is small.
		},
	}
	for i := range n {
		e := events.Envelope{
			Header: events.Header{
				ID: events.NewID(), Type: "ORDER_PLACED", Timestamp: time.Now().UTC().Truncate(time.Millisecond),
				Aggregate: aggregate, AggregateID: id, Version: version + uint64(i) + 1, //nolint:gosec // i is small.
				CorrelationID: a.Outcome.CorrelationID, CausationID: commandID, SchemaVersion: 1,
			},
			Data: json.RawMessage(`{"orderId":"` + id + `","note":"zwölf <b>\u0000"}`),
		}
		a.Events = append(a.Events, e)
		a.Outcome.Events = append(a.Outcome.Events, events.EventRef{ID: e.ID, Type: e.Type, Version: e.Version})
	}
	return a
}
