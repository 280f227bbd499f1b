package redisdb

import (
	"context"
	"encoding/json"

	"github.com/pitwheel/pitwheel/events"
)

// listMost bounds the rows of one List, so that one call does not keep Redis busy.
const listMost = 10_000

// ProjectionCursor returns how far a projection has read the log.
func (s *Store) ProjectionCursor(ctx context.Context, projection string) (events.Cursor, error) {
	return s.cursor(ctx, s.viewKey(projection, "cursor"))
}

// Rows returns the rows of the given keys, in their order; nil for a missing one.
func (s *Store) Rows(ctx context.Context, projection string, keys []string) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	args := make([]any, 0, 2+len(keys))
	args = append(args, "hmget", s.viewKey(projection, "rows"))
	for _, k := range keys {
		args = append(args, k)
	}
	reply, err := s.do(ctx, args...)
	if err != nil {
		return nil, err
	}
	found, _ := reply.([]any)
	if len(found) != len(keys) {
		return nil, events.Errorf(events.CodeInternal, "HMGET answered %d of %d rows", len(found), len(keys))
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
// stored cursor is not the one the step started from, in any partition, the error
// has the code CURSOR_MOVED: a view that was dropped meanwhile is not written to.
func (s *Store) Commit(ctx context.Context, c events.ProjectionCommit) error {
	args := make([]any, 2, 2+2*len(s.parts)+2*len(c.Put)+len(c.Delete))
	for p := range s.parts {
		args = append(args, c.From.At(p), c.To.At(p))
	}
	for _, row := range c.Put {
		args = append(args, row.Key, []byte(row.Data))
	}
	for _, key := range c.Delete {
		args = append(args, key)
	}
	args[0], args[1] = len(s.parts), len(c.Put)
	reply, err := s.run(ctx, s.scripts.commit, []string{
		s.viewKey(c.Projection, "rows"), s.viewKey(c.Projection, "keys"), s.viewKey(c.Projection, "cursor"),
	}, args...)
	if err != nil {
		return err
	}
	if written, _ := reply.(int64); written != 1 {
		return events.Errorf(events.CodeCursorMoved, "another instance has moved the projection %s meanwhile", c.Projection).MayRetry()
	}
	return nil
}

// List returns up to limit rows (at most and by default 10,000) whose keys come
// after the given one, sorted by the bytes of their keys.
func (s *Store) List(ctx context.Context, projection, after string, limit int) ([]events.Row, error) {
	if limit <= 0 || limit > listMost {
		limit = listMost
	}
	from := "-"
	if after != "" {
		from = "(" + after
	}
	reply, err := s.run(ctx, s.scripts.list, []string{s.viewKey(projection, "rows"), s.viewKey(projection, "keys")}, from, limit)
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

// DropProjection forgets the rows and the cursor of a projection, in one write, so that
// it is built again from the beginning of the log.
func (s *Store) DropProjection(ctx context.Context, projection string) error {
	_, err := s.do(ctx, "unlink", s.viewKey(projection, "rows"), s.viewKey(projection, "keys"), s.viewKey(projection, "cursor"))
	return err
}
