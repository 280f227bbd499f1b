package porttest

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// TestLog checks an implementation of [router.Log].
func TestLog(t *testing.T, open func(t *testing.T) router.Log) {
	s := suite[router.Log]{t, open}
	s.run("an aggregate that does not exist has an empty history", func(t *testing.T, log router.Log) {
		h := get[events.History](t)(log.Load(t.Context(), aggregate, events.NewID(), "s"))
		if h.Version() != 0 || len(h.Events) != 0 {
			t.Errorf("the history is %+v", h)
		}
		if got := storedOutcome(t, log, events.NewID(), events.NewID()); got.Status != "" {
			t.Errorf("the outcome of an unknown command: %+v", got)
		}
	})
	s.run("events are loaded as they were appended", loadsWhatWasAppended)
	s.run("a repeated command has its stored outcome", repeatsOutcome)
	s.run("the outcomes of many commands are found at once", findsOutcomes)
	s.run("conflicting version", conflicts)
	s.run("what would leave a gap is refused", refusesGaps)
	s.run("a rejection conflicts with no version", storesRejection)
	s.run("a snapshot shortens the history", usesSnapshots)
	s.run("a long history is complete", func(t *testing.T, log router.Log) {
		id := events.NewID()
		const n, step = 2500, 500
		for v := 0; v < n; v += step {
			get[events.Outcome](t)(log.Append(t.Context(), request(id, events.NewID(), uint64(v), step)))
		}
		wantVersions(t, get[events.History](t)(log.Load(t.Context(), aggregate, id, "")), 0, n)
		must(t, log.SaveSnapshot(t.Context(), aggregate, id, events.Snapshot{Version: 1200, Schema: "s", State: json.RawMessage(`{}`)}))
		wantVersions(t, get[events.History](t)(log.Load(t.Context(), aggregate, id, "s")), 1200, n)
	})
	s.run("concurrent appends leave no gap", appendsConcurrently)
	s.run("a log equals its model", func(t *testing.T, log router.Log) { checkLogModel(t, log) })
}

// wantVersions checks that a history runs from its snapshot to a version without gap.
func wantVersions(t tb, h events.History, snapshot, last uint64) {
	t.Helper()
	if h.Snapshot.Version != snapshot || h.Version() != last || uint64(len(h.Events)) != last-snapshot {
		t.Fatalf("snapshot %d and %d events to version %d; want snapshot %d, and all to version %d", h.Snapshot.Version, len(h.Events), h.Version(), snapshot, last)
	}
	for i, e := range h.Events {
		if e.Version != snapshot+uint64(i)+1 {
			t.Fatalf("event %d has the version %d", i, e.Version)
		}
	}
}

func loadsWhatWasAppended(t *testing.T, log router.Log) {
	ctx, id := t.Context(), events.NewID()
	a := request(id, events.NewID(), 0, 3)
	a.Events[1].Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	a.Events[2].CausationID = "NOT-A-UUID"
	want := make([]events.Envelope, len(a.Events))
	for i, e := range a.Events {
		e.Data = bytes.Clone(e.Data)
		want[i] = e
	}
	if got := get[events.Outcome](t)(log.Append(ctx, a)); !cmp.Equal(got, a.Outcome) {
		t.Errorf("the outcome differs (-want +got):\n%s", cmp.Diff(a.Outcome, got))
	}
	for i := range a.Events {
		clear(a.Events[i].Data) // The log keeps bytes of its own.
	}
	h := get[events.History](t)(log.Load(ctx, aggregate, id, ""))
	wantVersions(t, h, 0, 3)
	for i, e := range h.Events {
		if diff := cmp.Diff(want[i], e.Envelope); diff != "" {
			t.Errorf("event %d differs (-want +got):\n%s", i, diff)
		}
		if e.Partition != h.Events[0].Partition || e.Position != uint64(i+1) { //nolint:gosec // i is small.
			t.Errorf("event %d is at position %d of partition %d", i, e.Position, e.Partition)
		}
	}
	for _, other := range [][2]string{{aggregate, events.NewID()}, {"other", id}} {
		if v := get[events.History](t)(log.Load(ctx, other[0], other[1], "")).Version(); v != 0 {
			t.Errorf("%q has the version %d", other, v)
		}
	}
}

func repeatsOutcome(t *testing.T, log router.Log) {
	ctx, id := t.Context(), events.NewID()
	a := request(id, events.NewID(), 0, 2)
	get[events.Outcome](t)(log.Append(ctx, a))
	want := a.Outcome
	want.Repeated = true
	for _, n := range []int{0, 1, 2} { // Whatever is decided the second time.
		if got := get[events.Outcome](t)(log.Append(ctx, request(id, a.Outcome.CommandID, uint64(n), n))); !cmp.Equal(got, want) {
			t.Errorf("the outcome of a repeated command differs (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
	if diff := cmp.Diff(a.Outcome, storedOutcome(t, log, id, a.Outcome.CommandID)); diff != "" {
		t.Errorf("the stored outcome (-want +got):\n%s", diff)
	}
	wantVersions(t, get[events.History](t)(log.Load(ctx, aggregate, id, "")), 0, 2)
	// A command id belongs to one command on one aggregate.
	elsewhere := request(events.NewID(), a.Outcome.CommandID, 0, 1)
	if got := get[events.Outcome](t)(log.Append(ctx, elsewhere)); !cmp.Equal(got, elsewhere.Outcome) {
		t.Errorf("the same id on another aggregate (-want +got):\n%s", cmp.Diff(elsewhere.Outcome, got))
	}
}

// storedOutcome returns the outcome that is stored of a command, or one without a status.
func storedOutcome(t *testing.T, log router.Log, id, commandID string) events.Outcome {
	t.Helper()
	of := []events.Receipt{{Aggregate: aggregate, AggregateID: id, CommandID: commandID}}
	stored := get[[]events.Outcome](t)(log.Outcomes(t.Context(), of))
	if len(stored) != 1 {
		t.Fatalf("the outcomes of one command: %+v", stored)
	}
	return stored[0]
}

func findsOutcomes(t *testing.T, log router.Log) {
	ctx := t.Context()
	if got := get[[]events.Outcome](t)(log.Outcomes(ctx, nil)); len(got) != 0 {
		t.Errorf("the outcomes of no command: %+v", got)
	}
	var of []events.Receipt
	var want []events.Outcome
	for i := range 600 { // More than any store sends at once.
		id := events.NewID()
		a := request(id, events.NewID(), 0, 1)
		of = append(of, events.Receipt{Aggregate: aggregate, AggregateID: id, CommandID: a.Outcome.CommandID})
		if i%3 == 0 {
			want = append(want, events.Outcome{}) // It is never decided.
			continue
		}
		want = append(want, get[events.Outcome](t)(log.Append(ctx, a)))
	}
	if diff := cmp.Diff(want, get[[]events.Outcome](t)(log.Outcomes(ctx, of))); diff != "" {
		t.Errorf("the outcomes of many commands (-want +got):\n%s", diff)
	}
}

func conflicts(t *testing.T, log router.Log) {
	ctx, id := t.Context(), events.NewID()
	get[events.Outcome](t)(log.Append(ctx, request(id, events.NewID(), 0, 2)))
	for _, version := range []uint64{0, 1, 3} {
		a := request(id, events.NewID(), version, 1)
		_, err := log.Append(ctx, a)
		wantCode(t, "an append on another version than the aggregate's", err, events.CodeConflict)
		if got := storedOutcome(t, log, id, a.Outcome.CommandID); got.Status != "" {
			t.Errorf("a conflict has stored an outcome: %+v", got)
		}
	}
	wantVersions(t, get[events.History](t)(log.Load(ctx, aggregate, id, "")), 0, 2)
}

func refusesGaps(t *testing.T, log router.Log) {
	id := events.NewID()
	gap := request(id, events.NewID(), 0, 2)
	gap.Events[1].Version = 3
	early := request(id, events.NewID(), 0, 1)
	early.Events[0].Version = 0
	for name, a := range map[string]events.AppendRequest{"a gap": gap, "version 0": early, "no command id": request(id, "", 0, 1)} {
		if _, err := log.Append(t.Context(), a); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if v := get[events.History](t)(log.Load(t.Context(), aggregate, id, "")).Version(); v != 0 {
		t.Errorf("version %d is stored", v)
	}
}

func storesRejection(t *testing.T, log router.Log) {
	ctx, id := t.Context(), events.NewID()
	get[events.Outcome](t)(log.Append(ctx, request(id, events.NewID(), 0, 1)))
	reject := events.AppendRequest{Aggregate: aggregate, AggregateID: id, ExpectedVersion: 99, Outcome: events.Outcome{
		Status: events.StatusRejected, Command: "PLACE_ORDER", CommandID: events.NewID(), Code: "ORDER_EXISTS", Message: "it exists", Field: "orderId",
		Aggregate: aggregate, AggregateID: id,
	}}
	if got := get[events.Outcome](t)(log.Append(ctx, reject)); !cmp.Equal(got, reject.Outcome) {
		t.Errorf("the outcome differs (-want +got):\n%s", cmp.Diff(reject.Outcome, got))
	}
	if diff := cmp.Diff(reject.Outcome, storedOutcome(t, log, id, reject.Outcome.CommandID)); diff != "" {
		t.Errorf("the stored outcome (-want +got):\n%s", diff)
	}
	// An accepted command may have had nothing left to do.
	nothing := request(id, events.NewID(), 1, 0)
	nothing.Outcome.Events = []events.EventRef{}
	if got := get[events.Outcome](t)(log.Append(ctx, nothing)); !cmp.Equal(got, nothing.Outcome, cmpopts.EquateEmpty()) {
		t.Errorf("the outcome differs (-want +got):\n%s", cmp.Diff(nothing.Outcome, got))
	}
	wantVersions(t, get[events.History](t)(log.Load(ctx, aggregate, id, "")), 0, 1)
}

func usesSnapshots(t *testing.T, log router.Log) {
	ctx, id := t.Context(), events.NewID()
	get[events.Outcome](t)(log.Append(ctx, request(id, events.NewID(), 0, 5)))
	for _, step := range []struct {
		name    string
		version uint64
		schema  string
		state   string
		load    string
		want    uint64
	}{
		{"a snapshot is used", 4, "a", `{"n":4}`, "a", 4},
		{"an older one is dropped", 3, "a", `{"n":3}`, "a", 4},
		{"one of another schema is not used", 4, "a", `{"n":4}`, "b", 0},
		{"one of the same version replaces it", 4, "b", `{"n":4.5}`, "b", 4},
		{"one of the last version leaves no event", 5, "b", `{"n":5}`, "b", 5},
		{"a damaged one is not used", 5, "b", `{"n":`, "b", 0},
		{"one ahead of the log is not used", 9, "b", `{"n":9}`, "b", 0},
	} {
		must(t, log.SaveSnapshot(ctx, aggregate, id, events.Snapshot{Version: step.version, Schema: step.schema, State: json.RawMessage(step.state)}))
		h := get[events.History](t)(log.Load(ctx, aggregate, id, step.load))
		if h.Snapshot.Version != step.want || len(h.Events) != 5-int(step.want) || h.Version() != 5 { //nolint:gosec // They are small.
			t.Errorf("%s: snapshot %d and %d events; want %d and %d", step.name, h.Snapshot.Version, len(h.Events), step.want, 5-step.want)
		}
		if step.want == step.version && string(h.Snapshot.State) != step.state {
			t.Errorf("%s: the state is %s; want %s", step.name, h.Snapshot.State, step.state)
		}
	}
}

// appendsConcurrently lets many writers decide on one aggregate: each must get a version
// of its own.
func appendsConcurrently(t *testing.T, log router.Log) {
	ctx, id := t.Context(), events.NewID()
	const n = 20
	var writers sync.WaitGroup
	for range n {
		writers.Go(func() {
			for command := events.NewID(); ; {
				h, err := log.Load(ctx, aggregate, id, "")
				if err == nil {
					_, err = log.Append(ctx, request(id, command, h.Version(), 1))
				}
				if err == nil {
					return
				}
				if events.CodeOf(err) != events.CodeConflict {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	h := get[events.History](t)(log.Load(ctx, aggregate, id, ""))
	wantVersions(t, h, 0, n)
	for i, e := range h.Events {
		if e.Position != uint64(i+1) { //nolint:gosec // i is small.
			t.Errorf("event %d is at position %d", i, e.Position)
		}
	}
}
