package routertest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/pitwheel/pitwheel/events"
)

// Projections keep the rows of projections in memory. The zero value is ready.
type Projections struct {
	mu      sync.Mutex
	rows    map[string]map[string][]byte
	cursors map[string]events.Cursor
}

// ProjectionCursor returns how far a projection has read the log.
func (v *Projections) ProjectionCursor(_ context.Context, projection string) (events.Cursor, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cursors[projection].Clone(1), nil
}

// Rows returns rows by their keys; nil for a missing one.
func (v *Projections) Rows(_ context.Context, projection string, keys []string) ([][]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = v.rows[projection][k]
	}
	return out, nil
}

// Commit writes one step of a projection, if nobody else has.
func (v *Projections) Commit(_ context.Context, c events.ProjectionCommit) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if at := v.cursors[c.Projection]; at.At(0) != c.From.At(0) {
		return events.Errorf(events.CodeCursorMoved, "the projection %s is at %d, not at %d", c.Projection, at.At(0), c.From.At(0))
	}
	if v.rows == nil {
		v.rows, v.cursors = map[string]map[string][]byte{}, map[string]events.Cursor{}
	}
	if v.rows[c.Projection] == nil {
		v.rows[c.Projection] = map[string][]byte{}
	}
	for _, r := range c.Put {
		v.rows[c.Projection][r.Key] = r.Data
	}
	for _, k := range c.Delete {
		delete(v.rows[c.Projection], k)
	}
	v.cursors[c.Projection] = c.To.Clone(1)
	return nil
}

// Drop forgets a projection's rows and cursor, so that it is built again.
func (v *Projections) Drop(projection string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.rows, projection)
	delete(v.cursors, projection)
}

// List returns up to limit rows whose keys come after the given one.
func (v *Projections) List(_ context.Context, projection, after string, limit int) ([]events.Row, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []events.Row
	for k, data := range v.rows[projection] {
		if k > after {
			out = append(out, events.Row{Key: k, Data: data})
		}
	}
	slices.SortFunc(out, func(a, b events.Row) int { return strings.Compare(a.Key, b.Key) })
	return out[:min(limit, len(out))], nil
}
