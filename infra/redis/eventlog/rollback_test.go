package eventlog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// witness remembers in memory what was published.
type witness struct {
	mu    sync.Mutex
	known events.Witnessed
	err   error
}

func (w *witness) Witnessed(context.Context) (events.Witnessed, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return events.Witnessed{Epoch: w.known.Epoch, Positions: w.known.Positions.Clone(0)}, w.err
}

func (w *witness) record(s *redis.Store, end events.Cursor) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known.Epoch = max(w.known.Epoch, s.EpochNumber())
	w.known.Positions = w.known.Positions.Clone(len(end))
	for p := range end {
		w.known.Positions[p] = max(w.known.Positions[p], end[p])
	}
}

func (w *witness) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// decide loads an aggregate and appends n events to it, again after a conflict.
func decide(ctx context.Context, s *redis.Store, id string, n int) (events.AppendRequest, error) {
	for {
		h, err := s.Load(ctx, "user", id, "s")
		if err != nil {
			return events.AppendRequest{}, err
		}
		a := redistest.Decision(id, events.NewID(), h.Version(), n)
		if _, err = s.Append(ctx, a); events.CodeOf(err) != events.CodeConflict || err == nil {
			return a, err
		}
	}
}

// The whole way once, on a Redis whose files are replaced by an older copy.
func TestLog_Append_AfterRedisWasRestored(t *testing.T) {
	t.Parallel()
	srv, w, ctx := brokertest.StartRedis(t), &witness{}, t.Context()
	open := func() *redis.Store {
		s := redistest.OpenWith(t, redis.Config{URL: srv.URL(), Partitions: 1})
		s.Guard(w)
		return s
	}
	s := open()
	for range 3 {
		redistest.Must[events.AppendRequest](t)(decide(ctx, s, "u", 1))
	}
	backup := srv.Backup()
	redistest.Must[events.AppendRequest](t)(decide(ctx, s, "u", 2))
	redistest.Must[events.AppendRequest](t)(decide(ctx, s, "gone", 2))
	w.record(s, redistest.Must[events.Cursor](t)(s.End(ctx)))
	srv.Restore(backup)

	other := open() // It has seen nothing but the witness.
	w.fail(errors.New("no answer"))
	if _, err := other.Append(ctx, redistest.Decision("u", events.NewID(), 3, 1)); events.CodeOf(err) != events.CodeUnavailable {
		t.Errorf("an append to a log that cannot be verified: %v", err)
	}
	w.fail(nil)
	if _, err := other.Append(ctx, redistest.Decision("u", events.NewID(), 3, 1)); events.CodeOf(err) != events.CodeConflict {
		t.Errorf("an append with a version that was in use: %v", err)
	}
	for _, s := range []*redis.Store{other, s} {
		a := redistest.Must[events.AppendRequest](t)(decide(ctx, s, "u", 1))
		fresh := redistest.Must[events.AppendRequest](t)(decide(ctx, s, events.NewID(), 1))
		if s == other && (a.Events[0].Version != 8 || fresh.Events[0].Version != 5) {
			t.Errorf("the next versions are %d and %d; want 8, after 3 events and 4 that are gone, and 5", a.Events[0].Version, fresh.Events[0].Version)
		}
	}
	h := redistest.Must[events.History](t)(s.Load(ctx, "user", "u", ""))
	var at []uint64
	for _, e := range h.Events {
		at = append(at, e.Version, e.Position)
	}
	if diff := cmp.Diff([]uint64{1, 1, 2, 2, 3, 3, 8, 8, 9, 10}, at); diff != "" || h.Version() != 9 {
		t.Errorf("versions and positions up to %d (-want +got):\n%s", h.Version(), diff)
	}
	gaps := redistest.Must[[]events.LogGap](t)(s.Gaps(ctx))
	want := []events.LogGap{{End: 3, Witnessed: 7}}
	if diff := cmp.Diff(want, gaps, cmpopts.IgnoreFields(events.LogGap{}, "Since")); diff != "" || gaps[0].Since.IsZero() || gaps[0].Lost() != 4 {
		t.Errorf("what is lost (-want +got):\n%s", diff)
	}
	if err := s.Verify(ctx); err != nil || s.EpochNumber() != 1 {
		t.Errorf("epoch %d, %v; want 1", s.EpochNumber(), err)
	}
	if err := s.AcceptGap(ctx, gaps[0]); err != nil {
		t.Fatal(err)
	}
	want[0].Accepted = true
	if diff := cmp.Diff(want, redistest.Must[[]events.LogGap](t)(s.Gaps(ctx)), cmpopts.IgnoreFields(events.LogGap{}, "Since")); diff != "" {
		t.Errorf("what is lost and accepted (-want +got):\n%s", diff)
	}
	if a := redistest.Must[events.AppendRequest](t)(decide(ctx, s, "u", 1)); a.Events[0].Version != 10 {
		t.Errorf("the next version is %d; want 10", a.Events[0].Version)
	}
}

// Whatever is appended and published, and however often Redis and processes are put back,
// what was published of a position, or as a version of an aggregate, is one event.
func TestLog_NeverUsesAVersionTwice(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := &rollbacks{rt: rt, t: t, url: srv.URL(), ns: brokertest.Namespace(t), witness: &witness{}, published: map[string]string{}, logs: map[string][]string{}}
		m.stores = []*redis.Store{m.open(), m.open()}
		m.backup()
		rt.Repeat(map[string]func(*rapid.T){
			"append":   func(rt *rapid.T) { m.append(rt) },
			"append 2": func(rt *rapid.T) { m.append(rt) },
			"publish":  func(*rapid.T) { m.publish() },
			"snapshot": func(rt *rapid.T) { m.snapshot(rt) },
			"backup":   func(*rapid.T) { m.backup() },
			"restore":  func(*rapid.T) { m.restore() },
			"restart":  func(rt *rapid.T) { m.stores[rapid.IntRange(0, 1).Draw(rt, "store")] = m.open() },
			"verify":   func(rt *rapid.T) { m.check(m.store(rt).Verify(t.Context())) },
			"":         func(*rapid.T) {},
		})
		m.publish()
		for id := range m.logs {
			m.load(m.stores[0], id)
		}
	})
}

// rollbacks is a log on a Redis that is put back to earlier states.
type rollbacks struct {
	rt        *rapid.T
	t         *testing.T
	url, ns   string
	witness   *witness
	stores    []*redis.Store      // one for each process
	published map[string]string   // position, or aggregate and version → id of the event
	logs      map[string][]string // aggregate → ids of its events, as Redis has them
	keys      map[string]string   // the backup of Redis
	saved     map[string][]string // the backup of logs
}

func (m *rollbacks) check(err error) {
	if err != nil {
		m.rt.Fatal(err)
	}
}

func (m *rollbacks) open() *redis.Store {
	s := redistest.OpenWith(m.t, redis.Config{URL: m.url, Namespace: m.ns, Partitions: 2})
	s.Guard(m.witness)
	return s
}

func (m *rollbacks) store(rt *rapid.T) *redis.Store {
	return m.stores[rapid.IntRange(0, 1).Draw(rt, "store")]
}

func (m *rollbacks) append(rt *rapid.T) {
	s, id := m.store(rt), anAggregate(rt)
	a, err := decide(m.t.Context(), s, id, rapid.IntRange(1, 3).Draw(rt, "events"))
	m.check(err)
	for _, e := range a.Events {
		m.logs[id] = append(m.logs[id], e.ID)
	}
	m.load(s, id)
}

// publish publishes the whole log, as a relay may.
func (m *rollbacks) publish() {
	s, ctx := m.stores[0], m.t.Context()
	end, err := s.End(ctx)
	m.check(err)
	m.witness.record(s, end)
	for p := range s.Partitions() {
		got, err := s.ReadRange(ctx, p, 1, 0)
		m.check(err)
		for _, e := range got {
			for _, key := range []string{fmt.Sprint(p, "/", e.Position), fmt.Sprint(e.AggregateID, " v", e.Version)} {
				if before, ok := m.published[key]; ok && before != e.ID {
					m.rt.Fatalf("%s was published as %s, and now as %s", key, before, e.ID)
				}
				m.published[key] = e.ID
			}
		}
	}
}

// load checks that an aggregate has the events that Redis has, from its snapshot on.
func (m *rollbacks) load(s *redis.Store, id string) events.History {
	h, err := s.Load(m.t.Context(), "user", id, "s")
	m.check(err)
	var ids []string
	if h.Snapshot.Version > 0 {
		m.check(json.Unmarshal(h.Snapshot.State, &ids))
	}
	for _, e := range h.Events {
		ids = append(ids, e.ID)
	}
	if diff := cmp.Diff(m.logs[id], ids, cmpopts.EquateEmpty()); diff != "" {
		m.rt.Fatalf("the events of %s (-want +got):\n%s", id, diff)
	}
	return h
}

// snapshot saves a state that is the list of all events. It may arrive after a restore.
func (m *rollbacks) snapshot(rt *rapid.T) {
	s, id := m.store(rt), anAggregate(rt)
	h := m.load(s, id)
	if len(h.Events) == 0 {
		return
	}
	state, err := json.Marshal(m.logs[id])
	m.check(err)
	last := h.Events[len(h.Events)-1]
	snap := events.Snapshot{Version: last.Version, Schema: "s", State: state, Position: last.Position}
	if rapid.Bool().Draw(rt, "late") {
		m.restore()
	}
	m.check(s.SaveSnapshot(m.t.Context(), "user", id, snap))
}

func (m *rollbacks) backup() {
	ctx, c := m.t.Context(), m.stores[0].Client()
	keys, err := c.Keys(ctx, m.ns+":*").Result()
	m.check(err)
	m.keys, m.saved = map[string]string{}, map[string][]string{}
	for _, key := range keys {
		m.keys[key], err = c.Dump(ctx, key).Result()
		m.check(err)
	}
	for id, log := range m.logs {
		m.saved[id] = log[:len(log):len(log)]
	}
}

// restore puts Redis back to the backup, as a restart with older files does.
func (m *rollbacks) restore() {
	ctx, c := m.t.Context(), m.stores[0].Client()
	keys, err := c.Keys(ctx, m.ns+":*").Result()
	m.check(err)
	_, err = c.TxPipelined(ctx, func(p goredis.Pipeliner) error {
		p.Del(ctx, append(keys, "none")...)
		for key, dump := range m.keys {
			p.Restore(ctx, key, 0, dump)
		}
		p.ScriptFlush(ctx)
		return nil
	})
	m.check(err)
	m.logs = map[string][]string{}
	for id, log := range m.saved {
		m.logs[id] = log[:len(log):len(log)]
	}
}
