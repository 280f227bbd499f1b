package porttest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// logModel is what a log must contain after some steps.
type logModel struct {
	t         *testing.T
	log       router.Log
	run       string              // the prefix of its aggregates, as runs share the log
	ids       map[string][]string // aggregate → ids of its events
	commands  []events.AppendRequest
	snapshots map[string]uint64
	last      string // the aggregate of the last step
}

// checkLogModel lets rapid append, repeat, conflict and save snapshots: versions of an
// aggregate run from 1 on without gap, and a command has one outcome.
func checkLogModel(t *testing.T, log router.Log) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &logModel{t: t, log: log, run: events.NewID(), ids: map[string][]string{}, snapshots: map[string]uint64{}}
		rt.Repeat(map[string]func(*rapid.T){
			"append":   m.append,
			"repeat":   m.repeat,
			"snapshot": m.snapshot,
			"":         func(rt *rapid.T) { m.check(rt, m.last) },
		})
		for id := range m.ids {
			m.check(rt, id)
		}
	})
}

// draw picks the aggregate of a step.
func (m *logModel) draw(rt *rapid.T) string {
	m.last = fmt.Sprint(m.run, "-", rapid.IntRange(0, 4).Draw(rt, "aggregate"))
	return m.last
}

// append decides on a version that may be wrong, with events or without.
func (m *logModel) append(rt *rapid.T) {
	id := m.draw(rt)
	version := len(m.ids[id])
	if rapid.IntRange(0, 3).Draw(rt, "stale") == 0 {
		version = rapid.IntRange(0, version+1).Draw(rt, "version")
	}
	a := request(id, events.NewID(), uint64(version), rapid.IntRange(0, 3).Draw(rt, "events")) //nolint:gosec // It is small.
	got, err := m.log.Append(m.t.Context(), a)
	if len(a.Events) > 0 && version != len(m.ids[id]) {
		wantCode(rt, "an append on another version than the aggregate's", err, events.CodeConflict)
		return
	}
	if err != nil || !cmp.Equal(got, a.Outcome) {
		rt.Fatalf("%v, (-want +got)\n%s", err, cmp.Diff(a.Outcome, got))
	}
	for _, e := range a.Events {
		m.ids[id] = append(m.ids[id], e.ID)
	}
	m.commands = append(m.commands, a)
}

// repeat sends a command again, decided anew.
func (m *logModel) repeat(rt *rapid.T) {
	if len(m.commands) == 0 {
		return
	}
	first := rapid.SampledFrom(m.commands).Draw(rt, "command")
	m.last = first.AggregateID
	again := request(m.last, first.Outcome.CommandID, uint64(len(m.ids[m.last])), 2)
	got, err := m.log.Append(m.t.Context(), again)
	want := first.Outcome
	want.Repeated = true
	if err != nil || !cmp.Equal(got, want) {
		rt.Fatalf("%v, (-want +got)\n%s", err, cmp.Diff(want, got))
	}
}

func (m *logModel) snapshot(rt *rapid.T) {
	id := m.draw(rt)
	if len(m.ids[id]) == 0 {
		return
	}
	version := uint64(rapid.IntRange(1, len(m.ids[id])).Draw(rt, "at")) //nolint:gosec // It is small.
	must(rt, m.log.SaveSnapshot(m.t.Context(), aggregate, id, events.Snapshot{Version: version, Schema: "s", State: fmt.Append(nil, version)}))
	m.snapshots[id] = max(m.snapshots[id], version)
}

func (m *logModel) check(rt *rapid.T, id string) {
	h, err := m.log.Load(m.t.Context(), aggregate, id, "s")
	must(rt, err)
	at := m.snapshots[id]
	wantVersions(rt, h, at, uint64(len(m.ids[id])))
	if at > 0 && string(h.Snapshot.State) != fmt.Sprint(at) {
		rt.Fatalf("the snapshot of version %d has the state %s", at, h.Snapshot.State)
	}
	got := make([]string, len(h.Events))
	for i, e := range h.Events {
		got[i] = e.ID
	}
	if diff := cmp.Diff(m.ids[id][at:], got, cmpopts.EquateEmpty()); diff != "" {
		rt.Fatalf("other events than appended (-want +got):\n%s", diff)
	}
}
