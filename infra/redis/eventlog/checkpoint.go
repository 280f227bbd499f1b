package eventlog

import (
	"context"
	"strconv"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// The fields of a hash that keeps a cursor, beside those of the partitions.
const (
	fieldToken   = "token"   // that of the instance that may move it
	fieldEpoch   = "log"     // that of the log that was read
	fieldRebuild = "rebuild" // why a projection must be rebuilt
)

// Checkpoint returns how far a role has read the log: the beginning if it never has.
func (l *Log) Checkpoint(ctx context.Context, role string) (events.Cursor, error) {
	at, err := ReadCursor(ctx, l.conn, l.checkpointKey(role), len(l.parts))
	return at.Cursor, err
}

// OpenCheckpoint returns the checkpoint of a role, and makes the token the only one that
// can move it.
func (l *Log) OpenCheckpoint(ctx context.Context, role, token string) (events.Checkpoint, error) {
	at, err := OpenCursor(ctx, l.conn, l.checkpointKey(role), len(l.parts), token)
	return at.Checkpoint, err
}

// SaveCheckpoint moves a checkpoint, or else writes nothing and the error has the code
// CURSOR_MOVED. In a Redis Cluster it does not notice that the log ends before the
// checkpoint: the role does, within seconds.
func (l *Log) SaveCheckpoint(ctx context.Context, c events.CheckpointCommit) error {
	keys, args := []string{l.checkpointKey(c.Role)}, []any{c.Token, c.Epoch}
	for p := range max(len(c.From), len(c.To)) {
		if from, to := c.From.At(p), c.To.At(p); from != to {
			keys = append(keys, l.EndKeys(p)...)
			args = append(args, p, from, to)
		}
	}
	reply, err := l.conn.Run(ctx, l.checkpoint, keys, args...)
	if err != nil {
		return err
	}
	if moved, _ := reply.(int64); moved != 1 {
		return events.Errorf(events.CodeCursorMoved, "the checkpoint of %s was moved or opened by another instance meanwhile, or the log has lost events that it has read", c.Role).MayRetry()
	}
	return nil
}

// EndKeys returns the key of a partition's end, for scripts that check it; none in a Redis
// Cluster, where it is in a slot of its own.
func (l *Log) EndKeys(partition int) []string {
	if l.conn.Cluster() {
		return nil
	}
	return []string{l.endKey(partition)}
}

// OpenCursor reads a cursor as [ReadCursor] does, after it has set the token that may move
// it.
func OpenCursor(ctx context.Context, c *conn.Conn, key string, partitions int, token string) (events.ProjectionState, error) {
	if _, err := c.Do(ctx, "hset", key, fieldToken, token); err != nil {
		return events.ProjectionState{}, err
	}
	return ReadCursor(ctx, c, key, partitions)
}

// ReadCursor reads a cursor that is kept as a hash: partition → position, token, log and
// rebuild. A key that does not exist is the beginning of the log.
func ReadCursor(ctx context.Context, c *conn.Conn, key string, partitions int) (events.ProjectionState, error) {
	var at events.ProjectionState
	reply, err := c.Do(ctx, "hgetall", key)
	if err != nil {
		return at, err
	}
	at.Cursor = make(events.Cursor, partitions)
	flat, _ := reply.([]any)
	for i := 0; i+1 < len(flat); i += 2 {
		field, value := conn.Text(flat[i]), conn.Text(flat[i+1])
		switch field {
		case fieldToken:
			continue
		case fieldEpoch:
			at.Epoch = value
			continue
		case fieldRebuild:
			at.Rebuild = value
			continue
		}
		p, err := strconv.Atoi(field)
		position, err2 := strconv.ParseUint(value, 10, 64)
		if err != nil || err2 != nil || p < 0 || p >= partitions {
			return at, events.Errorf(events.CodeUndecodable, "the cursor %s has the position %q for partition %q of %d", key, value, field, partitions)
		}
		at.Cursor[p] = position
	}
	return at, nil
}
