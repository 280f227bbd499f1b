package routertest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// Log puts the faults around a log.
func (f *Faults) Log(l router.Log) router.Log { return faultyLog{l, f} }

type faultyLog struct {
	router.Log
	f *Faults
}

func (l faultyLog) Load(ctx context.Context, aggregate, id, schema string) (events.History, error) {
	return call(ctx, l.f, "Load", aggregate, func() (events.History, error) { return l.Log.Load(ctx, aggregate, id, schema) })
}

func (l faultyLog) Append(ctx context.Context, a events.AppendRequest) (events.Outcome, error) {
	return call(ctx, l.f, "Append", a.Aggregate, func() (events.Outcome, error) { return l.Log.Append(ctx, a) })
}

// Outcomes is one call for each aggregate whose outcomes are asked for.
func (l faultyLog) Outcomes(ctx context.Context, of []events.Receipt) ([]events.Outcome, error) {
	byAggregate := map[string][]int{} // indexes in of
	for i, r := range of {
		byAggregate[r.Aggregate] = append(byAggregate[r.Aggregate], i)
	}
	out := make([]events.Outcome, len(of))
	for _, aggregate := range slices.Sorted(maps.Keys(byAggregate)) {
		var part []events.Receipt
		for _, i := range byAggregate[aggregate] {
			part = append(part, of[i])
		}
		stored, err := call(ctx, l.f, "Outcomes", aggregate, func() ([]events.Outcome, error) { return l.Log.Outcomes(ctx, part) })
		if err != nil {
			return nil, err
		}
		for n, i := range byAggregate[aggregate] {
			out[i] = stored[n]
		}
	}
	return out, nil
}

func (l faultyLog) SaveSnapshot(ctx context.Context, aggregate, id string, s events.Snapshot) error {
	return act(ctx, l.f, "SaveSnapshot", aggregate, func() error { return l.Log.SaveSnapshot(ctx, aggregate, id, s) })
}

// Reader puts the faults around a reader of the log.
func (f *Faults) Reader(r router.LogReader) router.LogReader { return faultyReader{r, f} }

type faultyReader struct {
	router.LogReader
	f *Faults
}

func (r faultyReader) Read(ctx context.Context, after events.Cursor, limit int, wait time.Duration) ([]events.Recorded, error) {
	hit := r.f.inject("Read", "", 0, 0)
	if err := hit.begin(ctx); err != nil {
		return nil, err
	}
	batch, err := r.LogReader.Read(ctx, after, limit, wait)
	if hit.lose != nil {
		return nil, cmp.Or(err, hit.lose)
	}
	// Only now it is known whether there is anything to double or to swap.
	hit = r.f.inject("Read", "", 1, len(batch))
	return disarranged(hit, batch, func(e events.Recorded) events.Recorded { return e }), err
}

func (r faultyReader) Epoch(ctx context.Context) (string, error) {
	return call(ctx, r.f, "Epoch", "", func() (string, error) { return r.LogReader.Epoch(ctx) })
}

func (r faultyReader) End(ctx context.Context) (events.Cursor, error) {
	return call(ctx, r.f, "End", "", func() (events.Cursor, error) { return r.LogReader.End(ctx) })
}

// Checkpoints puts the faults around checkpoints.
func (f *Faults) Checkpoints(c router.Checkpoints) router.Checkpoints { return faultyCheckpoints{c, f} }

type faultyCheckpoints struct {
	router.Checkpoints
	f *Faults
}

func (c faultyCheckpoints) Checkpoint(ctx context.Context, role string) (events.Cursor, error) {
	return call(ctx, c.f, "Checkpoint", role, func() (events.Cursor, error) { return c.Checkpoints.Checkpoint(ctx, role) })
}

func (c faultyCheckpoints) OpenCheckpoint(ctx context.Context, role, token string) (events.Checkpoint, error) {
	return call(ctx, c.f, "OpenCheckpoint", role, func() (events.Checkpoint, error) { return c.Checkpoints.OpenCheckpoint(ctx, role, token) })
}

func (c faultyCheckpoints) SaveCheckpoint(ctx context.Context, commit events.CheckpointCommit) error {
	return act(ctx, c.f, "SaveCheckpoint", commit.Role, func() error { return c.Checkpoints.SaveCheckpoint(ctx, commit) })
}

// Projections puts the faults around the rows of projections.
func (f *Faults) Projections(v router.ProjectionStore) router.ProjectionStore {
	return faultyProjections{v, f}
}

type faultyProjections struct {
	router.ProjectionStore
	f *Faults
}

func (v faultyProjections) ProjectionCursor(ctx context.Context, projection string) (events.Cursor, error) {
	return call(ctx, v.f, "ProjectionCursor", projection, func() (events.Cursor, error) { return v.ProjectionStore.ProjectionCursor(ctx, projection) })
}

func (v faultyProjections) OpenProjection(ctx context.Context, projection, token string) (events.ProjectionState, error) {
	return call(ctx, v.f, "OpenProjection", projection, func() (events.ProjectionState, error) {
		return v.ProjectionStore.OpenProjection(ctx, projection, token)
	})
}

func (v faultyProjections) Rows(ctx context.Context, projection string, keys []string) ([][]byte, error) {
	return call(ctx, v.f, "Rows", projection, func() ([][]byte, error) { return v.ProjectionStore.Rows(ctx, projection, keys) })
}

func (v faultyProjections) Commit(ctx context.Context, c events.ProjectionCommit) error {
	return act(ctx, v.f, "Commit", c.Projection, func() error { return v.ProjectionStore.Commit(ctx, c) })
}

func (v faultyProjections) List(ctx context.Context, projection, after string, limit int) ([]events.Row, error) {
	return call(ctx, v.f, "List", projection, func() ([]events.Row, error) { return v.ProjectionStore.List(ctx, projection, after, limit) })
}

// Inbox puts the faults around an inbox.
func (f *Faults) Inbox(i router.Inbox) router.Inbox { return faultyInbox{i, f} }

type faultyInbox struct {
	router.Inbox
	f *Faults
}

func (i faultyInbox) Seen(ctx context.Context, handler, id string) (bool, error) {
	return call(ctx, i.f, "Seen", handler, func() (bool, error) { return i.Inbox.Seen(ctx, handler, id) })
}

func (i faultyInbox) Record(ctx context.Context, handler, id string) error {
	return act(ctx, i.f, "Record", handler, func() error { return i.Inbox.Record(ctx, handler, id) })
}

// Poison puts the faults around a poison store.
func (f *Faults) Poison(l router.PoisonStore) router.PoisonStore { return faultyPoisonStore{l, f} }

type faultyPoisonStore struct {
	router.PoisonStore
	f *Faults
}

func (l faultyPoisonStore) StorePoison(ctx context.Context, m poison.Message) error {
	return act(ctx, l.f, "StorePoison", m.Handler, func() error { return l.PoisonStore.StorePoison(ctx, m) })
}

func (l faultyPoisonStore) HasPoison(ctx context.Context, ids ...string) ([]bool, error) {
	return call(ctx, l.f, "HasPoison", "", func() ([]bool, error) { return l.PoisonStore.HasPoison(ctx, ids...) })
}

func (l faultyPoisonStore) CountPoison(ctx context.Context) (map[string]int, error) {
	return call(ctx, l.f, "CountPoison", "", func() (map[string]int, error) { return l.PoisonStore.CountPoison(ctx) })
}

// Parking puts the faults around a store of parked messages.
func (f *Faults) Parking(p router.Parking) router.Parking { return faultyParking{p, f} }

type faultyParking struct {
	router.Parking
	f *Faults
}

func (p faultyParking) KeyBlocker(ctx context.Context, handler, key string) (string, error) {
	return call(ctx, p.f, "KeyBlocker", handler, func() (string, error) { return p.Parking.KeyBlocker(ctx, handler, key) })
}

func (p faultyParking) BlockKey(ctx context.Context, handler, key, id string) (string, error) {
	return call(ctx, p.f, "BlockKey", handler, func() (string, error) { return p.Parking.BlockKey(ctx, handler, key, id) })
}

func (p faultyParking) ParkMessage(ctx context.Context, handler, key, id string, msg *message.Message) (string, error) {
	return call(ctx, p.f, "ParkMessage", handler, func() (string, error) { return p.Parking.ParkMessage(ctx, handler, key, id, msg) })
}

func (p faultyParking) ReleaseKey(ctx context.Context, handler, key, id string, handled bool) (string, *message.Message, error) {
	var next string
	msg, err := call(ctx, p.f, "ReleaseKey", handler, func() (msg *message.Message, err error) {
		next, msg, err = p.Parking.ReleaseKey(ctx, handler, key, id, handled)
		return msg, err
	})
	if err != nil {
		next = "" // Its answer is lost.
	}
	return next, msg, err
}

func (p faultyParking) UnparkMessage(ctx context.Context, handler, key, id string) error {
	return act(ctx, p.f, "UnparkMessage", handler, func() error { return p.Parking.UnparkMessage(ctx, handler, key, id) })
}

func (p faultyParking) CountParked(ctx context.Context, handler string) (int, int, error) {
	var messages int
	keys, err := call(ctx, p.f, "CountParked", handler, func() (keys int, err error) {
		keys, messages, err = p.Parking.CountParked(ctx, handler)
		return keys, err
	})
	if err != nil {
		messages = 0 // Its answer is lost.
	}
	return keys, messages, err
}

// Elector puts the faults around an election. Only its beginning and its end can be
// subject to faults, not what is done meanwhile.
func (f *Faults) Elector(e router.Elector) router.Elector { return faultyElector{e, f} }

type faultyElector struct {
	router.Elector
	f *Faults
}

func (e faultyElector) Lead(ctx context.Context, role string, do func(context.Context) error) error {
	return act(ctx, e.f, "Lead", role, func() error { return e.Elector.Lead(ctx, role, do) })
}
