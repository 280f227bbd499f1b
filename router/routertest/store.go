package routertest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// Store keeps in memory what Redis keeps in production: log, checkpoints and
// inbox; see [Projections] for the rows. Its zero value is ready. It has one partition.
type Store struct {
	Projections

	mu        sync.Mutex
	log       []events.Recorded
	news      chan struct{}
	versions  map[string]uint64
	outcomes  map[string]events.Outcome
	snapshots map[string]events.Snapshot
	marks     map[string]events.Cursor
	seen      map[string]bool
	parked    map[[2]string]*parkedKey
}

// Load returns the history of an aggregate.
func (s *Store) Load(_ context.Context, aggregate, id, schema string) (events.History, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var h events.History
	if snap, ok := s.snapshots[aggregate+"/"+id]; ok && snap.Schema == schema {
		h.Snapshot = snap
	}
	for _, e := range s.log {
		if e.Aggregate == aggregate && e.AggregateID == id && e.Version > h.Snapshot.Version {
			h.Events = append(h.Events, e)
		}
	}
	return h, nil
}

// Append stores events and outcome.
func (s *Store) Append(_ context.Context, a events.AppendRequest) (events.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := a.Aggregate + "/" + a.AggregateID
	if done, ok := s.outcomes[key+"/"+a.Outcome.CommandID]; ok {
		done.Repeated = true
		return done, nil
	}
	if at := s.versions[key]; len(a.Events) > 0 && at != a.ExpectedVersion {
		return events.Outcome{}, events.Errorf(events.CodeConflict, "%s %s is at version %d, not %d", a.Aggregate, a.AggregateID, at, a.ExpectedVersion).MayRetry()
	}
	for _, e := range a.Events {
		s.log = append(s.log, events.Recorded{Envelope: e, Position: uint64(len(s.log)) + 1})
	}
	if s.versions == nil {
		s.versions, s.outcomes = map[string]uint64{}, map[string]events.Outcome{}
	}
	s.versions[key] += uint64(len(a.Events))
	s.outcomes[key+"/"+a.Outcome.CommandID] = a.Outcome
	if s.news != nil && len(a.Events) > 0 {
		close(s.news)
		s.news = nil
	}
	return a.Outcome, nil
}

// Outcome returns the stored outcome of a command.
func (s *Store) Outcome(_ context.Context, aggregate, id, commandID string) (events.Outcome, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.outcomes[aggregate+"/"+id+"/"+commandID]
	return o, ok, nil
}

// SaveSnapshot keeps a state.
func (s *Store) SaveSnapshot(_ context.Context, aggregate, id string, snap events.Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.snapshots == nil {
		s.snapshots = map[string]events.Snapshot{}
	}
	if key := aggregate + "/" + id; s.snapshots[key].Version < snap.Version {
		s.snapshots[key] = snap
	}
	return nil
}

// Partitions is 1.
func (s *Store) Partitions() int { return 1 }

// Read returns events after a cursor, waiting up to wait for the first.
func (s *Store) Read(ctx context.Context, after events.Cursor, limit int, wait time.Duration) ([]events.Recorded, error) {
	timeout := time.After(wait)
	for {
		s.mu.Lock()
		from := min(int(after.At(0)), len(s.log)) //nolint:gosec // Positions come from this log.
		out := slices.Clone(s.log[from:min(len(s.log), from+limit)])
		if s.news == nil {
			s.news = make(chan struct{})
		}
		news := s.news
		s.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-news:
		case <-timeout:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// End returns the position of the last event.
func (s *Store) End(context.Context) (events.Cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return events.Cursor{uint64(len(s.log))}, nil
}

// Checkpoint returns how far a role has read the log.
func (s *Store) Checkpoint(_ context.Context, role string) (events.Cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks[role].Clone(1), nil
}

// SaveCheckpoint moves a role's checkpoint forward.
func (s *Store) SaveCheckpoint(_ context.Context, role string, c events.Cursor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marks == nil {
		s.marks = map[string]events.Cursor{}
	}
	if c.At(0) > s.marks[role].At(0) {
		s.marks[role] = c.Clone(1)
	}
	return nil
}

// Seen tells whether the handler has handled the message before.
func (s *Store) Seen(_ context.Context, handler, id string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[handler+"/"+id], nil
}

// Record remembers that the handler has handled the message.
func (s *Store) Record(_ context.Context, handler, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[handler+"/"+id] = true
	return nil
}

// Lead runs f at once: in one process there is nobody to elect against.
func (s *Store) Lead(ctx context.Context, _ string, f func(context.Context) error) error {
	return f(ctx)
}
