package redisdb

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	datajson "github.com/pitwheel/pitwheel/events/json"
)

// pageEvents bounds the events of one script run, so that a long history does
// not keep Redis from its other work.
const pageEvents = 1000

// Append stores events and outcome in one write. If an outcome is stored already
// under the same command id, that one is returned and nothing is written. If
// there are events and the aggregate's version is not the expected one, the error
// has the code VERSION_CONFLICT. After an error with the code UNAVAILABLE, or of
// ctx, it is unknown whether it was stored: the same Append again settles it.
func (s *Store) Append(ctx context.Context, a events.AppendRequest) (events.Outcome, error) {
	if err := validAppend(a); err != nil {
		return events.Outcome{}, err
	}
	outcome, err := encodeOutcome(a.Outcome)
	if err != nil {
		return events.Outcome{}, err
	}
	p := s.partition(a.AggregateID)
	args := make([]any, 0, 3+3*len(a.Events))
	args = append(args, a.ExpectedVersion, s.outcomeTTL.Milliseconds(), outcome)
	for i := range a.Events {
		e := &a.Events[i]
		args = append(args, e.Type, encodeHead(e.Header, a.Aggregate, a.AggregateID), []byte(e.Data))
	}
	reply, err := s.run(ctx, s.scripts.append, []string{
		s.outcomeKey(p, a.Aggregate, a.AggregateID, a.Outcome.CommandID), s.indexKey(p, a.Aggregate, a.AggregateID), s.endKey(p), s.logKey(p),
	}, args...)
	if err != nil {
		return events.Outcome{}, err
	}
	switch v := reply.(type) {
	case string:
		stored, err := decodeOutcome(v, a.Aggregate, a.AggregateID, a.Outcome.CommandID)
		stored.Repeated = true
		return stored, err
	case int64:
		if v < 0 {
			return a.Outcome, nil
		}
		return events.Outcome{}, events.Errorf(events.CodeConflict, "%s %s is at version %d, and the decision was made on version %d",
			a.Aggregate, a.AggregateID, v, a.ExpectedVersion).MayRetry()
	}
	return events.Outcome{}, events.Errorf(events.CodeInternal, "append.lua answered %T", reply)
}

// validAppend finds what would make a hole in the log before anything is written.
func validAppend(a events.AppendRequest) error {
	if a.Outcome.CommandID == "" {
		return events.Errorf(events.CodeInternal, "an append to %s %s has no command id; its outcome could not be found again", a.Aggregate, a.AggregateID)
	}
	for i := range a.Events {
		e := &a.Events[i]
		if want := a.ExpectedVersion + uint64(i) + 1; e.Version != want {
			return events.Errorf(events.CodeInternal, "event %d of command %s has the version %d; it must be %d", i, a.Outcome.CommandID, e.Version, want)
		}
		if e.Type == "" || e.ID == "" {
			return events.Errorf(events.CodeInternal, "event %d of command %s has no type or no id", i, a.Outcome.CommandID)
		}
	}
	return nil
}

// Outcome returns the stored outcome of a command, and whether there is one.
func (s *Store) Outcome(ctx context.Context, aggregate, id, commandID string) (events.Outcome, bool, error) {
	reply, err := s.do(ctx, "get", s.outcomeKey(s.partition(id), aggregate, id, commandID))
	if errors.Is(err, redis.Nil) {
		return events.Outcome{}, false, nil
	}
	if err != nil {
		return events.Outcome{}, false, err
	}
	text, _ := reply.(string)
	o, err := decodeOutcome(text, aggregate, id, commandID)
	return o, err == nil, err
}

// storedOutcome is an outcome as it is stored.
type storedOutcome struct {
	events.Outcome
	Command string `json:"command,omitempty"`
}

// encodeOutcome writes an outcome without what its key says already.
func encodeOutcome(o events.Outcome) ([]byte, error) {
	o.CommandID, o.Aggregate, o.AggregateID = "", "", ""
	out, err := datajson.Marshal(storedOutcome{o, o.Command})
	if err != nil {
		return nil, events.Errorf(events.CodeInternal, "the outcome of a command cannot be written: %w", err)
	}
	return out, nil
}

func decodeOutcome(text, aggregate, id, commandID string) (events.Outcome, error) {
	var stored storedOutcome
	if err := datajson.Unmarshal([]byte(text), &stored); err != nil {
		return events.Outcome{}, events.Errorf(events.CodeUndecodable, "the stored outcome of command %s cannot be read: %w", commandID, err)
	}
	o := stored.Outcome
	o.Command, o.CommandID, o.Aggregate, o.AggregateID = stored.Command, commandID, aggregate, id
	return o, nil
}

// Load returns the history of an aggregate: its snapshot, if it is of the given
// schema, and the events after it. An aggregate that does not exist has an empty
// history. Up to 1,000 events take one round trip.
func (s *Store) Load(ctx context.Context, aggregate, id, snapshotSchema string) (events.History, error) {
	var h events.History
	var after uint64
	for {
		version, snapshot, page, err := s.loadPage(ctx, aggregate, id, snapshotSchema, after)
		if err != nil {
			return events.History{}, err
		}
		if snapshot.Version > 0 {
			if !json.Valid(snapshot.State) {
				s.log.WarnContext(ctx, "a damaged snapshot is ignored", "aggregate", aggregate, "aggregate_id", id, "version", snapshot.Version)
				snapshotSchema = ""
				continue
			}
			h.Snapshot, after = snapshot, snapshot.Version
		}
		for i := range page {
			if after++; page[i].Version != after {
				return events.History{}, events.Errorf(events.CodeInternal, "the log of %s %s holds version %d where %d must be", aggregate, id, page[i].Version, after)
			}
		}
		h.Events = append(h.Events, page...)
		if after >= version {
			return h, nil
		}
		if len(page) == 0 {
			return events.History{}, events.Errorf(events.CodeInternal, "the log of %s %s lacks version %d of %d", aggregate, id, after+1, version)
		}
		snapshotSchema = "" // The next page goes on where this one ended.
	}
}

// loadPage runs load.lua once.
func (s *Store) loadPage(ctx context.Context, aggregate, id, schema string, after uint64) (version uint64, snap events.Snapshot, page []events.Recorded, err error) {
	p := s.partition(id)
	reply, err := s.run(ctx, s.scripts.load, []string{s.indexKey(p, aggregate, id), s.snapshotKey(p, aggregate, id), s.logKey(p)}, schema, after, pageEvents)
	if err != nil {
		return 0, snap, nil, err
	}
	parts, _ := reply.([]any)
	if len(parts) != 4 {
		return 0, snap, nil, events.Errorf(events.CodeInternal, "load.lua answered %T of %d parts", reply, len(parts))
	}
	if at, _ := parts[1].(int64); at > 0 {
		state, _ := parts[2].(string)
		snap = events.Snapshot{Version: uint64(at), Schema: schema, State: json.RawMessage(state)}
	}
	flat, _ := parts[3].([]any)
	page = make([]events.Recorded, 0, len(flat)/4)
	for i := 0; i+3 < len(flat); i += 4 {
		e, err := decodeFields(p, flat[i], flat[i+1], flat[i+2], flat[i+3])
		if err != nil {
			return 0, snap, nil, err
		}
		page = append(page, e)
	}
	v, _ := parts[0].(int64)
	return uint64(v), snap, page, nil
}

// SaveSnapshot keeps a state; an older one than the stored is dropped.
func (s *Store) SaveSnapshot(ctx context.Context, aggregate, id string, snap events.Snapshot) error {
	_, err := s.run(ctx, s.scripts.snapshot, []string{s.snapshotKey(s.partition(id), aggregate, id)}, snap.Version, snap.Schema, []byte(snap.State))
	return err
}
