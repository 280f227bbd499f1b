package redisdb

import (
	"context"
	"strconv"

	"github.com/pitwheel/pitwheel/events"
)

// Checkpoint returns how far a role has read the log.
func (s *Store) Checkpoint(ctx context.Context, role string) (events.Cursor, error) {
	return s.cursor(ctx, s.checkpointKey(role))
}

// SaveCheckpoint keeps how far a role has read the log. It never moves a
// partition's position back.
func (s *Store) SaveCheckpoint(ctx context.Context, role string, c events.Cursor) error {
	args := make([]any, 0, 2*len(c))
	for p, position := range c {
		if position > 0 {
			args = append(args, p, position)
		}
	}
	if len(args) == 0 {
		return nil
	}
	_, err := s.run(ctx, s.scripts.checkpoint, []string{s.checkpointKey(role)}, args...)
	return err
}

// cursor reads a hash of partition → position.
func (s *Store) cursor(ctx context.Context, key string) (events.Cursor, error) {
	reply, err := s.do(ctx, "hgetall", key)
	if err != nil {
		return nil, err
	}
	c := make(events.Cursor, len(s.parts))
	flat, _ := reply.([]any)
	for i := 0; i+1 < len(flat); i += 2 {
		field, _ := flat[i].(string)
		value, _ := flat[i+1].(string)
		p, err := strconv.Atoi(field)
		position, err2 := strconv.ParseUint(value, 10, 64)
		if err != nil || err2 != nil || p < 0 || p >= len(c) {
			return nil, events.Errorf(events.CodeUndecodable, "the cursor %s says %q for partition %q of %d", key, value, field, len(c))
		}
		c[p] = position
	}
	return c, nil
}
