package eventlog

import (
	"context"
	"encoding/json"

	"github.com/pitwheel/pitwheel/events"
)

// pageEvents bounds the events of one script run, so that a long history does not keep
// Redis from its other work.
const pageEvents = 1000

// Load returns the history of an aggregate: its snapshot, if it is of the given
// schema, and the events after it. An aggregate that does not exist has an empty
// history. Up to 1,000 events take one round trip.
func (l *Log) Load(ctx context.Context, aggregate, id, snapshotSchema string) (events.History, error) {
	var h events.History
	var after uint64
	for {
		version, snapshot, page, err := l.loadPage(ctx, aggregate, id, snapshotSchema, after)
		if err != nil {
			return events.History{}, err
		}
		if snapshot.Version > 0 {
			if !json.Valid(snapshot.State) {
				l.conn.Logger().WarnContext(ctx, "a damaged snapshot is ignored", "aggregate", aggregate, "aggregate_id", id, "version", snapshot.Version)
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
func (l *Log) loadPage(ctx context.Context, aggregate, id, schema string, after uint64) (version uint64, snap events.Snapshot, page []events.Recorded, err error) {
	p := l.partition(id)
	reply, err := l.conn.Run(ctx, l.load, []string{l.indexKey(p, aggregate, id), l.snapshotKey(p, aggregate, id), l.logKey(p)}, schema, after, pageEvents)
	if err != nil {
		return 0, snap, nil, err
	}
	parts, _ := reply.([]any)
	if len(parts) != 4 {
		return 0, snap, nil, events.Errorf(events.CodeInternal, "load.lua replied %T of %d parts", reply, len(parts))
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
func (l *Log) SaveSnapshot(ctx context.Context, aggregate, id string, snap events.Snapshot) error {
	_, err := l.conn.Run(ctx, l.snapshot, []string{l.snapshotKey(l.partition(id), aggregate, id)}, snap.Version, snap.Schema, []byte(snap.State))
	return err
}
