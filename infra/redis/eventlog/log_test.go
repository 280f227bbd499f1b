package eventlog_test

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
)

func TestLog_AppendAndLoad(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx, id := redistest.Open(t, url), t.Context(), events.NewID()

		if h := redistest.Must[events.History](t)(s.Load(ctx, "user", id, "x")); h.Version() != 0 || len(h.Events) != 0 {
			t.Fatalf("a new aggregate has the history %+v", h)
		}
		a := redistest.Decision(id, events.NewID(), 0, 3)
		a.Events[1].Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		a.Events[2].CausationID = "NOT-A-UUID"
		if got := redistest.Must[events.Outcome](t)(s.Append(ctx, a)); !cmp.Equal(got, a.Outcome) {
			t.Errorf("outcome: %s", cmp.Diff(a.Outcome, got))
		}
		h := redistest.Must[events.History](t)(s.Load(ctx, "user", id, "x"))
		var got []events.Envelope
		for i, e := range h.Events {
			got = append(got, e.Envelope)
			if e.Position != uint64(i+1) {
				t.Errorf("event %d is at position %d", i, e.Position)
			}
		}
		if diff := cmp.Diff(a.Events, got); diff != "" {
			t.Errorf("events: %s", diff)
		}

		again := redistest.Decision(id, a.Outcome.CommandID, 0, 1)
		repeated := a.Outcome
		repeated.Repeated = true
		if got := redistest.Must[events.Outcome](t)(s.Append(ctx, again)); !cmp.Equal(got, repeated) {
			t.Errorf("the outcome of a repeated command: %s", cmp.Diff(repeated, got))
		}
		// An id belongs to one command on one aggregate.
		elsewhere := redistest.Decision(events.NewID(), a.Outcome.CommandID, 0, 1)
		if got := redistest.Must[events.Outcome](t)(s.Append(ctx, elsewhere)); !cmp.Equal(got, elsewhere.Outcome) {
			t.Errorf("under the same id on another aggregate: %s", cmp.Diff(elsewhere.Outcome, got))
		}
		of := []events.Receipt{{Aggregate: "user", AggregateID: id, CommandID: a.Outcome.CommandID}, {Aggregate: "user", AggregateID: id, CommandID: events.NewID()}}
		if diff := cmp.Diff([]events.Outcome{a.Outcome, {}}, redistest.Must[[]events.Outcome](t)(s.Outcomes(ctx, of))); diff != "" {
			t.Errorf("stored outcome, and that of an unknown command (-want +got):\n%s", diff)
		}

		if _, err := s.Append(ctx, redistest.Decision(id, events.NewID(), 2, 1)); events.CodeOf(err) != events.CodeConflict {
			t.Errorf("an append on an old version: %v", err)
		}
		reject := events.AppendRequest{Aggregate: "user", AggregateID: id, ExpectedVersion: 99, Outcome: events.Outcome{
			Status: events.StatusRejected, CommandID: events.NewID(), Code: "USER_EXISTS", Message: "it exists", Aggregate: "user", AggregateID: id}}
		if got := redistest.Must[events.Outcome](t)(s.Append(ctx, reject)); !cmp.Equal(got, reject.Outcome) {
			t.Errorf("rejection: %s", cmp.Diff(reject.Outcome, got))
		}
		if v := redistest.Must[events.History](t)(s.Load(ctx, "user", id, "")).Version(); v != 3 {
			t.Errorf("the version is %d after a conflict, a repeat and a rejection; want 3", v)
		}
	})
}

func TestLog_Append_RefusesGaps(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, id := redistest.Open(t, url), events.NewID()
		gap := redistest.Decision(id, events.NewID(), 0, 2)
		gap.Events[1].Version = 3
		anonymous := redistest.Decision(id, "", 0, 1)
		for _, a := range []events.AppendRequest{gap, anonymous} {
			if _, err := s.Append(t.Context(), a); err == nil {
				t.Errorf("%+v is accepted", a)
			}
		}
		if v := redistest.Must[events.History](t)(s.Load(t.Context(), "user", id, "")).Version(); v != 0 {
			t.Errorf("version %d is stored", v)
		}
	})
}

// An append that Redis refuses in the middle leaves nothing behind, not even the outcome:
// the command may be sent again once the cause is removed.
func TestLog_Append_RefusedByRedisLeavesNothing(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, Partitions: 1}), t.Context()
		log, a := ns+":{p0}:log", redistest.Decision("u", events.NewID(), 0, 3)
		add := func() error {
			return s.Client().XAdd(ctx, &goredis.XAddArgs{Stream: log, ID: "7-0", Values: []string{"a", "b"}}).Err()
		}
		set := func(key, value string) func() error {
			return func() error { return s.Client().Set(ctx, key, value, 0).Err() }
		}
		for name, c := range map[string]struct {
			key   string
			spoil func() error
		}{
			"a log that is further": {log, add},
			"no log":                {log, set(log, "x")},
			"no index":              {ns + ":{p0}:index:user:u", set(ns+":{p0}:index:user:u", "x")},
			"no position":           {ns + ":{p0}:end", set(ns+":{p0}:end", "x")},
		} {
			if err := c.spoil(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Append(ctx, a); err == nil {
				t.Errorf("%s: it is stored", name)
			}
			if err := s.Client().Del(ctx, c.key).Err(); err != nil {
				t.Fatal(err)
			}
			if left := redistest.Must[[]string](t)(s.Client().Keys(ctx, ns+":{p0}:[^t]*").Result()); len(left) > 0 { // All but touch.
				t.Errorf("%s: %q are left", name, left)
			}
		}
		redistest.Must[events.Outcome](t)(s.Append(ctx, a))
		if v := redistest.Must[events.History](t)(s.Load(ctx, "user", "u", "")).Version(); v != 3 {
			t.Errorf("version %d; want 3", v)
		}
	})
}

func TestLog_Load_FromSnapshot(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx, id := redistest.Open(t, url), t.Context(), events.NewID()
		for v := range uint64(5) {
			redistest.Must[events.Outcome](t)(s.Append(ctx, redistest.Decision(id, events.NewID(), v, 1)))
		}
		save := func(version uint64, schema, state string) {
			t.Helper()
			if err := s.SaveSnapshot(ctx, "user", id, events.Snapshot{Version: version, Schema: schema, State: json.RawMessage(state)}); err != nil {
				t.Fatal(err)
			}
		}
		check := func(schema string, snapshot uint64, n int) {
			t.Helper()
			h := redistest.Must[events.History](t)(s.Load(ctx, "user", id, schema))
			if h.Snapshot.Version != snapshot || len(h.Events) != n || h.Version() != 5 {
				t.Errorf("schema %q: snapshot %d and %d events to version %d; want %d and %d", schema, h.Snapshot.Version, len(h.Events), h.Version(), snapshot, n)
			}
		}
		save(4, "a", `{"n":4}`)
		check("a", 4, 1)
		check("b", 0, 5)
		save(3, "a", `{"n":3}`)
		check("a", 4, 1)
		save(5, "b", `{"n":5}`)
		check("b", 5, 0)
		save(5, "b", `{"n":`)
		check("b", 0, 5)
		save(9, "b", `{"n":9}`)
		check("b", 0, 5)
	})
}

func TestLog_Load_LongHistoryInPages(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx, id := redistest.Open(t, url), t.Context(), events.NewID()
		for v := uint64(0); v < 2500; v += 500 {
			redistest.Must[events.Outcome](t)(s.Append(ctx, redistest.Decision(id, events.NewID(), v, 500)))
		}
		h := redistest.Must[events.History](t)(s.Load(ctx, "user", id, "x"))
		if len(h.Events) != 2500 || h.Version() != 2500 {
			t.Errorf("%d events to version %d; want 2500", len(h.Events), h.Version())
		}
		if err := s.SaveSnapshot(ctx, "user", id, events.Snapshot{Version: 1200, Schema: "x", State: json.RawMessage(`{}`)}); err != nil {
			t.Fatal(err)
		}
		h = redistest.Must[events.History](t)(s.Load(ctx, "user", id, "x"))
		if len(h.Events) != 1300 || h.Snapshot.Version != 1200 || h.Version() != 2500 {
			t.Errorf("%d events after snapshot %d to version %d; want 1300, 1200, 2500", len(h.Events), h.Snapshot.Version, h.Version())
		}
	})
}

// Concurrent decisions on one aggregate each see a version of their own.
func TestLog_Append_ConcurrentlyLeavesNoGap(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx, id := redistest.Open(t, url), t.Context(), events.NewID()
		var writers sync.WaitGroup
		for range 20 {
			writers.Go(func() {
				for command := events.NewID(); ; {
					h, err := s.Load(ctx, "user", id, "")
					if err != nil {
						t.Error(err)
						return
					}
					if _, err = s.Append(ctx, redistest.Decision(id, command, h.Version(), 1)); err == nil {
						return
					} else if events.CodeOf(err) != events.CodeConflict {
						t.Error(err)
						return
					}
				}
			})
		}
		writers.Wait()
		h := redistest.Must[events.History](t)(s.Load(ctx, "user", id, ""))
		for i, e := range h.Events {
			if e.Version != uint64(i+1) || e.Position != uint64(i+1) {
				t.Errorf("event %d has version %d at position %d", i, e.Version, e.Position)
			}
		}
		if len(h.Events) != 20 {
			t.Errorf("%d events; want 20", len(h.Events))
		}
	})
}
