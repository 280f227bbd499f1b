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
	var have uint64    // how many of the aggregate's events are loaded, or in the snapshot
	var version uint64 // of the last one
	for {
		page, err := l.loadPage(ctx, aggregate, id, snapshotSchema, have)
		if err != nil {
			return events.History{}, err
		}
		if page.snapshot.Version > 0 {
			if !json.Valid(page.snapshot.State) {
				l.conn.Logger().WarnContext(ctx, "a damaged snapshot is ignored", "aggregate", aggregate, "aggregate_id", id, "version", page.snapshot.Version)
				snapshotSchema = ""
				continue
			}
			h.Snapshot, have, version = page.snapshot, page.first, page.snapshot.Version
		}
		for i := range page.events {
			have++
			next := page.events[i].Version
			// A partition that has lost events skips versions, at most as many.
			if next <= version || next < have || next > have+page.skipped || page.skipped == 0 && next != version+1 {
				return events.History{}, events.Errorf(events.CodeInternal, "the log of %s %s holds version %d where %d must be", aggregate, id, next, version+1)
			}
			version = next
		}
		h.Events = append(h.Events, page.events...)
		if have >= page.count {
			// The versions that were skipped before the last event are in its own.
			h.Skipped = page.count + page.skipped - version
			return h, nil
		}
		if len(page.events) == 0 {
			return events.History{}, events.Errorf(events.CodeInternal, "the log of %s %s lacks version %d of %d", aggregate, id, version+1, page.count+page.skipped)
		}
		snapshotSchema = "" // The next page goes on where this one ended.
	}
}

// page is a reply of load.lua.
type page struct {
	count    uint64 // of all the aggregate's events
	skipped  uint64 // versions, as the partition has lost events
	snapshot events.Snapshot
	first    uint64 // how many events come before those of the page
	events   []events.Recorded
}

// loadPage runs load.lua once.
func (l *Log) loadPage(ctx context.Context, aggregate, id, schema string, after uint64) (page, error) {
	p := l.partition(id)
	keys := []string{l.indexKey(p, aggregate, id), l.snapshotKey(p, aggregate, id), l.logKey(p), l.gapsKey(p)}
	reply, err := l.conn.Run(ctx, l.load, keys, schema, after, pageEvents)
	if err != nil {
		return page{}, err
	}
	parts, _ := reply.([]any)
	if len(parts) != 6 {
		return page{}, events.Errorf(events.CodeInternal, "load.lua replied %T of %d parts", reply, len(parts))
	}
	var numbers [4]uint64
	for i := range numbers {
		n, _ := parts[i].(int64)
		numbers[i] = uint64(n) //nolint:gosec // They are counts.
	}
	out := page{count: numbers[0], skipped: numbers[1], first: numbers[3]}
	if numbers[2] > 0 {
		state, _ := parts[4].(string)
		out.snapshot = events.Snapshot{Version: numbers[2], Schema: schema, State: json.RawMessage(state)}
	}
	flat, _ := parts[5].([]any)
	out.events = make([]events.Recorded, 0, len(flat)/4)
	for i := 0; i+3 < len(flat); i += 4 {
		e, err := decodeFields(p, flat[i], flat[i+1], flat[i+2], flat[i+3])
		if err != nil {
			return page{}, err
		}
		out.events = append(out.events, e)
	}
	return out, nil
}

// SaveSnapshot keeps a state; an older one than the stored is dropped, and so is one of
// events that are not in the log.
func (l *Log) SaveSnapshot(ctx context.Context, aggregate, id string, snap events.Snapshot) error {
	p := l.partition(id)
	_, err := l.conn.Run(ctx, l.snapshot, []string{l.snapshotKey(p, aggregate, id), l.indexKey(p, aggregate, id)},
		snap.Version, snap.Schema, []byte(snap.State), snap.Position)
	return err
}
