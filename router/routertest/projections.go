package routertest

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/pitwheel/pitwheel/events"
)

// Projections keep the rows of projections in memory. The zero value is empty and
// ready. It is safe for concurrent use.
type Projections struct {
	mu     sync.Mutex
	rows   map[string]map[string][]byte
	states map[string]projectionState
}

// projectionState is what is stored of a projection beside its rows.
type projectionState struct {
	events.ProjectionState
	token string
}

// ProjectionCursor returns how far a projection has read the log.
func (p *Projections) ProjectionCursor(_ context.Context, projection string) (events.Cursor, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.states[projection].Cursor.Clone(1), nil
}

// OpenProjection returns how far a projection has read the log, and makes the token the only
// one that can commit.
func (p *Projections) OpenProjection(_ context.Context, projection, token string) (events.ProjectionState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.states == nil {
		p.states = map[string]projectionState{}
	}
	state := p.states[projection]
	state.token, state.Cursor = token, state.Cursor.Clone(1)
	p.states[projection] = state
	return state.ProjectionState, nil
}

// Rows returns the rows of the given keys, in their order; nil for a missing one.
func (p *Projections) Rows(_ context.Context, projection string, keys []string) ([][]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = bytes.Clone(p.rows[projection][k])
	}
	return out, nil
}

// Commit writes one step of a projection. If the stored cursor is not the one the step
// started from, in any partition, or the token is not that of the last OpenProjection, the
// error has the code CURSOR_MOVED and nothing is written.
func (p *Projections) Commit(_ context.Context, c events.ProjectionCommit) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := p.states[c.Projection]
	at := state.Cursor
	if state.token != c.Token {
		return events.Errorf(events.CodeCursorMoved, "the projection %s was opened by another instance", c.Projection).MayRetry()
	}
	for partition := range max(len(at), len(c.From)) {
		if at.At(partition) != c.From.At(partition) {
			return events.Errorf(events.CodeCursorMoved, "the projection %s is at %v, not at %v", c.Projection, at, c.From).MayRetry()
		}
	}
	if p.rows == nil {
		p.rows = map[string]map[string][]byte{}
	}
	if p.states == nil {
		p.states = map[string]projectionState{}
	}
	if p.rows[c.Projection] == nil {
		p.rows[c.Projection] = map[string][]byte{}
	}
	for _, r := range c.Put {
		p.rows[c.Projection][r.Key] = append([]byte{}, r.Data...) // An empty row is not a missing one.
	}
	for _, k := range c.Delete {
		delete(p.rows[c.Projection], k)
	}
	state.Cursor = c.To.Clone(1)
	state.Epoch = cmp.Or(c.Epoch, state.Epoch)
	state.Rebuild = cmp.Or(c.Rebuild, state.Rebuild)
	p.states[c.Projection] = state
	return nil
}

// Drop removes a projection's rows and cursor, so that it is built again.
func (p *Projections) Drop(projection string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.rows, projection)
	delete(p.states, projection)
}

// List returns up to limit rows (0: all) whose keys come after the given one, sorted by
// the bytes of their keys.
func (p *Projections) List(_ context.Context, projection, after string, limit int) ([]events.Row, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []events.Row
	for k, data := range p.rows[projection] {
		if k > after {
			out = append(out, events.Row{Key: k, Data: bytes.Clone(data)})
		}
	}
	slices.SortFunc(out, func(a, b events.Row) int { return strings.Compare(a.Key, b.Key) })
	if limit > 0 && limit < len(out) {
		out = out[:limit]
	}
	return out, nil
}
