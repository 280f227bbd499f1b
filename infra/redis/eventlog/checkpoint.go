package eventlog

import (
	"context"
	"strconv"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// Checkpoint returns how far a role has read the log: the beginning if it never has.
func (l *Log) Checkpoint(ctx context.Context, role string) (events.Cursor, error) {
	return ReadCursor(ctx, l.conn, l.checkpointKey(role), len(l.parts))
}

// SaveCheckpoint keeps how far a role has read the log. It never moves a
// partition's position back.
func (l *Log) SaveCheckpoint(ctx context.Context, role string, c events.Cursor) error {
	args := make([]any, 0, 2*len(c))
	for p, position := range c {
		if position > 0 {
			args = append(args, p, position)
		}
	}
	if len(args) == 0 {
		return nil
	}
	_, err := l.conn.Run(ctx, l.checkpoint, []string{l.checkpointKey(role)}, args...)
	return err
}

// ReadCursor reads a cursor that is kept as a hash: partition → position. A key that does
// not exist is the beginning of the log.
func ReadCursor(ctx context.Context, c *conn.Conn, key string, partitions int) (events.Cursor, error) {
	reply, err := c.Do(ctx, "hgetall", key)
	if err != nil {
		return nil, err
	}
	cursor := make(events.Cursor, partitions)
	flat, _ := reply.([]any)
	for i := 0; i+1 < len(flat); i += 2 {
		field, _ := flat[i].(string)
		value, _ := flat[i+1].(string)
		p, err := strconv.Atoi(field)
		position, err2 := strconv.ParseUint(value, 10, 64)
		if err != nil || err2 != nil || p < 0 || p >= partitions {
			return nil, events.Errorf(events.CodeUndecodable, "the cursor %s has the position %q for partition %q of %d", key, value, field, partitions)
		}
		cursor[p] = position
	}
	return cursor, nil
}
