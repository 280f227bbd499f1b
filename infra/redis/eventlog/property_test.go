package eventlog_test

import (
	"fmt"
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
)

// Whatever is appended, repeated, refused and snapshotted, the log is the same as
// a model of it: versions of an aggregate and positions of a partition run from 1
// on without gap, and a command has one outcome.
func TestLog_LikeItsModel(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		rapid.Check(t, func(rt *rapid.T) {
			m := &logModel{ids: map[string][]string{}, outcomes: map[string]events.Outcome{}, snapshots: map[string]uint64{}}
			ns := redistest.Namespace(t, url)
			s := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, Partitions: 3})
			rt.Repeat(map[string]func(*rapid.T){
				"append":   func(rt *rapid.T) { m.append(rt, t, s) },
				"repeat":   func(rt *rapid.T) { m.repeat(rt, t, s) },
				"snapshot": func(rt *rapid.T) { m.snapshot(rt, t, s) },
				"":         func(rt *rapid.T) { m.check(rt, t, s, m.last) },
			})
			for id := range m.ids {
				m.check(rt, t, s, id)
			}
			m.checkPositions(rt, t, s)
		})
	})
}

type logModel struct {
	ids       map[string][]string // aggregate → ids of its events
	commands  []events.AppendRequest
	outcomes  map[string]events.Outcome
	snapshots map[string]uint64
	total     uint64
	last      string // the aggregate of the last step
}

func anAggregate(rt *rapid.T) string {
	return fmt.Sprint("a", rapid.IntRange(0, 4).Draw(rt, "aggregate"))
}

// append decides on a version that may be wrong, with events or without.
func (m *logModel) append(rt *rapid.T, t *testing.T, s *redis.Store) {
	id := anAggregate(rt)
	m.last = id
	has := uint64(len(m.ids[id]))
	version := has
	if rapid.IntRange(0, 3).Draw(rt, "stale") == 0 {
		version = uint64(rapid.IntRange(0, int(has)+1).Draw(rt, "version"))
	}
	n := rapid.IntRange(0, 3).Draw(rt, "events")
	a := redistest.Decision(id, events.NewID(), version, n)
	got, err := s.Append(t.Context(), a)
	if n > 0 && version != has {
		if events.CodeOf(err) != events.CodeConflict {
			rt.Fatalf("an append on version %d of %d: %v", version, has, err)
		}
		return
	}
	if err != nil || !cmp.Equal(got, a.Outcome) {
		rt.Fatalf("%v, %s", err, cmp.Diff(a.Outcome, got))
	}
	for _, e := range a.Events {
		m.ids[id] = append(m.ids[id], e.ID)
	}
	m.total += uint64(n)
	m.commands = append(m.commands, a)
	m.outcomes[a.Outcome.CommandID] = a.Outcome
}

// repeat sends a command again, decided anew.
func (m *logModel) repeat(rt *rapid.T, t *testing.T, s *redis.Store) {
	if len(m.commands) == 0 {
		return
	}
	old := rapid.SampledFrom(m.commands).Draw(rt, "command")
	m.last = old.AggregateID
	again := redistest.Decision(old.AggregateID, old.Outcome.CommandID, uint64(len(m.ids[old.AggregateID])), 2)
	got, err := s.Append(t.Context(), again)
	want := m.outcomes[old.Outcome.CommandID]
	want.Repeated = true
	if err != nil || !cmp.Equal(got, want) {
		rt.Fatalf("%v, %s", err, cmp.Diff(want, got))
	}
}

func (m *logModel) snapshot(rt *rapid.T, t *testing.T, s *redis.Store) {
	id := anAggregate(rt)
	m.last = id
	if len(m.ids[id]) == 0 {
		return
	}
	version := uint64(rapid.IntRange(1, len(m.ids[id])).Draw(rt, "at"))
	err := s.SaveSnapshot(t.Context(), "user", id, events.Snapshot{Version: version, Schema: "s", State: fmt.Append(nil, version)})
	if err != nil {
		rt.Fatal(err)
	}
	m.snapshots[id] = max(m.snapshots[id], version)
}

func (m *logModel) check(rt *rapid.T, t *testing.T, s *redis.Store, id string) {
	h, err := s.Load(t.Context(), "user", id, "s")
	if err != nil {
		rt.Fatal(err)
	}
	at := m.snapshots[id]
	if h.Snapshot.Version != at || at > 0 && string(h.Snapshot.State) != fmt.Sprint(at) {
		rt.Fatalf("snapshot %d %s; want %d", h.Snapshot.Version, h.Snapshot.State, at)
	}
	var got []string
	for i, e := range h.Events {
		if e.Version != at+uint64(i)+1 {
			rt.Fatalf("version %d follows %d", e.Version, at+uint64(i))
		}
		got = append(got, e.ID)
	}
	if diff := cmp.Diff(m.ids[id][at:], got, cmpopts.EquateEmpty()); diff != "" {
		rt.Fatal(diff)
	}
}

func (m *logModel) checkPositions(rt *rapid.T, t *testing.T, s *redis.Store) {
	ctx := t.Context()
	end, err := s.End(ctx)
	if err != nil || events.Cursor(nil).Behind(end) != m.total {
		rt.Fatalf("the end is %v (%v); want %d events", end, err, m.total)
	}
	for p := range s.Partitions() {
		got, err := s.ReadRange(ctx, p, 1, 0)
		if err != nil || uint64(len(got)) != end.At(p) {
			rt.Fatalf("partition %d: %d events to %d, %v", p, len(got), end.At(p), err)
		}
		for i, e := range got {
			if e.Position != uint64(i+1) {
				rt.Fatalf("partition %d: event %d is at %d", p, i, e.Position)
			}
		}
	}
}
