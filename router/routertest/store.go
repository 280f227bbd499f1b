package routertest

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// readDefault is how many events one Read returns if no limit is given.
const readDefault = 1000

// aggregateKey names an aggregate: its type and its id.
type aggregateKey struct{ aggregate, id string }

// outcomeKey names a command on an aggregate.
type outcomeKey struct {
	aggregateKey
	command string
}

// Store keeps in memory what Redis keeps in production: log, checkpoints, inbox and
// leases; see [Projections] for the rows, and [Ledger] for the ledgers. The zero value is an empty store with one
// partition. It is safe for concurrent use.
type Store struct {
	Projections
	Ledger

	mu          sync.Mutex
	log         []events.Recorded
	appended    chan struct{} // closed by the next append; nil while nobody waits for it
	versions    map[aggregateKey]uint64
	outcomes    map[outcomeKey]events.Outcome
	snapshots   map[aggregateKey]events.Snapshot
	checkpoints map[string]checkpoint
	epoch       string                   // made when it is first asked for
	seen        map[[2]string]bool       // handler and message id
	parked      map[[2]string]*parkedKey // handler and key
	roles       map[string]chan struct{} // each holds a token while its role is taken
}

// Load returns the history of an aggregate. A snapshot of another schema, one ahead of
// the log and one that is not JSON are ignored.
func (s *Store) Load(_ context.Context, aggregate, id, schema string) (events.History, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var h events.History
	key := aggregateKey{aggregate, id}
	if snap := s.snapshots[key]; snap.Schema == schema && snap.Version <= s.versions[key] && json.Valid(snap.State) {
		h.Snapshot = snap
	}
	for _, e := range s.log {
		if e.Aggregate == aggregate && e.AggregateID == id && e.Version > h.Snapshot.Version {
			h.Events = append(h.Events, e)
		}
	}
	return h, nil
}

// Append stores events and outcome in one write. A request that would leave a gap in
// the versions, or whose outcome could not be found again, is an error with the code
// INTERNAL.
func (s *Store) Append(_ context.Context, a events.AppendRequest) (events.Outcome, error) {
	if err := a.Validate(); err != nil {
		return events.Outcome{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := aggregateKey{a.Aggregate, a.AggregateID}
	if stored, ok := s.outcomes[outcomeKey{key, a.Outcome.CommandID}]; ok {
		stored.Repeated = true
		return stored, nil
	}
	if version := s.versions[key]; len(a.Events) > 0 && version != a.ExpectedVersion {
		return events.Outcome{}, events.Errorf(events.CodeConflict, "%s %s is at version %d, not %d", a.Aggregate, a.AggregateID, version, a.ExpectedVersion).MayRetry()
	}
	for _, e := range a.Events {
		e.Data = bytes.Clone(e.Data)
		s.log = append(s.log, events.Recorded{Envelope: e, Position: uint64(len(s.log)) + 1})
	}
	if s.versions == nil {
		s.versions, s.outcomes = map[aggregateKey]uint64{}, map[outcomeKey]events.Outcome{}
	}
	s.versions[key] += uint64(len(a.Events))
	s.outcomes[outcomeKey{key, a.Outcome.CommandID}] = a.Outcome
	if s.appended != nil && len(a.Events) > 0 {
		close(s.appended)
		s.appended = nil
	}
	return a.Outcome, nil
}

// Outcomes returns the stored outcomes of commands, in the order of their receipts; one
// that is not stored has an empty status.
func (s *Store) Outcomes(_ context.Context, of []events.Receipt) ([]events.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]events.Outcome, len(of))
	for i, r := range of {
		out[i] = s.outcomes[outcomeKey{aggregateKey{r.Aggregate, r.AggregateID}, r.CommandID}]
	}
	return out, nil
}

// SaveSnapshot keeps a state; one that is older than the stored is dropped.
func (s *Store) SaveSnapshot(_ context.Context, aggregate, id string, snap events.Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.snapshots == nil {
		s.snapshots = map[aggregateKey]events.Snapshot{}
	}
	if key := (aggregateKey{aggregate, id}); s.snapshots[key].Version <= snap.Version {
		snap.State = bytes.Clone(snap.State)
		s.snapshots[key] = snap
	}
	return nil
}

// Partitions is 1.
func (s *Store) Partitions() int { return 1 }

// Read returns events after a cursor, at most limit (0: 1,000). If there are none it
// waits up to wait for one.
func (s *Store) Read(ctx context.Context, after events.Cursor, limit int, wait time.Duration) ([]events.Recorded, error) {
	if limit <= 0 {
		limit = readDefault
	}
	timeout := time.After(wait)
	for {
		s.mu.Lock()
		from := int(min(after.At(0), uint64(len(s.log)))) //nolint:gosec // It is at most the length.
		out := slices.Clone(s.log[from:min(len(s.log), from+limit)])
		if s.appended == nil {
			s.appended = make(chan struct{})
		}
		appended := s.appended
		s.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-appended:
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

// Seen reports whether the handler has handled the message before.
func (s *Store) Seen(_ context.Context, handler, id string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[[2]string{handler, id}], nil
}

// Record remembers that the handler has handled the message.
func (s *Store) Record(_ context.Context, handler, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[[2]string]bool{}
	}
	s.seen[[2]string{handler, id}] = true
	return nil
}

// Lead runs f while no other call of Lead on this store holds the role, again when it
// has returned nil, until ctx ends (Lead then returns nil) or f returns an error. What f
// returns after the end of ctx is ignored.
func (s *Store) Lead(ctx context.Context, role string, f func(context.Context) error) error {
	taken := s.role(role)
	for {
		select {
		case taken <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		var err error
		if ctx.Err() == nil {
			err = f(ctx)
		}
		<-taken
		if err != nil && ctx.Err() == nil {
			return err
		}
		// An f that returns at once must not spin.
		if !backoff.Wait(ctx, time.Millisecond) {
			return nil
		}
	}
}

func (s *Store) role(name string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roles == nil {
		s.roles = map[string]chan struct{}{}
	}
	if s.roles[name] == nil {
		s.roles[name] = make(chan struct{}, 1)
	}
	return s.roles[name]
}
