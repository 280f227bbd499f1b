package projections

import (
	"context"
	_ "embed" // scripts
	"encoding/json"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/infra/redis/eventlog"
)

// maxList bounds the rows of one List, so that one call does not keep Redis busy.
const maxList = 10_000

var (
	//go:embed commit.lua
	commitLua string
	//go:embed list.lua
	listLua string
)

// Projections holds the rows and cursors of projections. It is safe for concurrent use.
type Projections struct {
	conn         *conn.Conn
	log          *eventlog.Log
	commit, list *conn.Script
}

// New returns the projections of a log.
func New(c *conn.Conn, log *eventlog.Log) *Projections {
	return &Projections{conn: c, log: log, commit: conn.NewScript(commitLua), list: conn.NewScript(listLua)}
}

// key names a key of a projection; all of them are in one slot.
func (p *Projections) key(projection, name string) string {
	return p.conn.Key("{projection:" + projection + "}:" + name)
}

// ProjectionCursor returns how far a projection has read the log.
func (p *Projections) ProjectionCursor(ctx context.Context, projection string) (events.Cursor, error) {
	at, err := eventlog.ReadCursor(ctx, p.conn, p.key(projection, "cursor"), p.log.Partitions())
	return at.Cursor, err
}

// OpenProjection returns how far a projection has read the log, and makes the token the
// only one that can commit.
func (p *Projections) OpenProjection(ctx context.Context, projection, token string) (events.ProjectionState, error) {
	return eventlog.OpenCursor(ctx, p.conn, p.key(projection, "cursor"), p.log.Partitions(), token)
}

// Rows returns the rows of the given keys, in their order; nil for a missing one.
func (p *Projections) Rows(ctx context.Context, projection string, keys []string) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	args := make([]any, 0, 2+len(keys))
	args = append(args, "hmget", p.key(projection, "rows"))
	for _, k := range keys {
		args = append(args, k)
	}
	reply, err := p.conn.Do(ctx, args...)
	if err != nil {
		return nil, err
	}
	found, _ := reply.([]any)
	if len(found) != len(keys) {
		return nil, events.Errorf(events.CodeInternal, "HMGET replied with %d of %d rows", len(found), len(keys))
	}
	rows := make([][]byte, len(keys))
	for i, row := range found {
		if text, ok := row.(string); ok {
			rows[i] = []byte(text)
		}
	}
	return rows, nil
}

// Commit writes one step of a projection: rows and cursor, or nothing. If the
// stored cursor is not the one the step started from, in any partition, or the token is
// not that of the last OpenProjection, the error has the code CURSOR_MOVED: a projection
// that was dropped meanwhile is not written to. So it is if the log ends before the cursor
// afterwards; in a Redis Cluster the projection notices that later.
func (p *Projections) Commit(ctx context.Context, c events.ProjectionCommit) error {
	keys := []string{p.key(c.Projection, "rows"), p.key(c.Projection, "keys"), p.key(c.Projection, "cursor")}
	partitions := p.log.Partitions()
	args := make([]any, 0, 5+2*partitions+2*len(c.Put)+len(c.Delete))
	args = append(args, partitions, len(c.Put), c.Token, c.Epoch, c.Rebuild)
	for i := range partitions {
		args = append(args, c.From.At(i), c.To.At(i))
		if c.From.At(i) != c.To.At(i) {
			keys = append(keys, p.log.EndKeys(i)...)
		}
	}
	for _, row := range c.Put {
		args = append(args, row.Key, []byte(row.Data))
	}
	for _, key := range c.Delete {
		args = append(args, key)
	}
	reply, err := p.conn.Run(ctx, p.commit, keys, args...)
	if err != nil {
		return err
	}
	if written, _ := reply.(int64); written != 1 {
		return events.Errorf(events.CodeCursorMoved, "another instance has moved the projection %s meanwhile, or the log has lost events that it has read", c.Projection).MayRetry()
	}
	return nil
}

// List returns up to limit rows (at most and by default 10,000) whose keys come
// after the given one, sorted by the bytes of their keys.
func (p *Projections) List(ctx context.Context, projection, after string, limit int) ([]events.Row, error) {
	if limit <= 0 || limit > maxList {
		limit = maxList
	}
	from := "-"
	if after != "" {
		from = "(" + after
	}
	reply, err := p.conn.Run(ctx, p.list, []string{p.key(projection, "rows"), p.key(projection, "keys")}, from, limit)
	if err != nil {
		return nil, err
	}
	flat, _ := reply.([]any)
	rows := make([]events.Row, 0, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		key, _ := flat[i].(string)
		data, _ := flat[i+1].(string)
		rows = append(rows, events.Row{Key: key, Data: json.RawMessage(data)})
	}
	return rows, nil
}

// DropProjection deletes the rows and the cursor of a projection, in one write, so that it
// is built again from the beginning of the log.
func (p *Projections) DropProjection(ctx context.Context, projection string) error {
	_, err := p.conn.Do(ctx, "unlink", p.key(projection, "rows"), p.key(projection, "keys"), p.key(projection, "cursor"))
	return err
}
