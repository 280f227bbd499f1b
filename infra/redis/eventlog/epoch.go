package eventlog

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// fieldLogID is the field of the store record that identifies the log.
const fieldLogID = "log_id"

// Epoch returns the epoch of the log as it is at the time of the call; see
// [events.SameLog]. A log without one, as after all of Redis was deleted, gets a new one.
func (l *Log) Epoch(ctx context.Context) (string, error) {
	id, number := redis.NewCmd(ctx, "hget", l.conn.Key("store"), fieldLogID), redis.NewCmd(ctx, "get", l.epochKey())
	if err := l.conn.Send(ctx, id, number); err != nil {
		return "", err
	}
	for _, cmd := range []*redis.Cmd{id, number} {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return "", l.conn.Explain(err)
		}
	}
	if text := conn.Text(id.Val()); text != "" {
		if n := conn.Text(number.Val()); n != "" && n != "0" {
			text += "." + n
		}
		return text, nil
	}
	// Whoever opens the store later must find its partitions, too.
	pipe := l.conn.Client().Pipeline()
	key := l.conn.Key("store")
	pipe.HSetNX(ctx, key, "partitions", len(l.parts))
	pipe.HSetNX(ctx, key, fieldLogID, newLogID())
	epoch := pipe.HGet(ctx, key, fieldLogID)
	if _, err := pipe.Exec(ctx); err != nil {
		return "", l.conn.Explain(err)
	}
	return epoch.Val(), nil
}

// newLogID returns a random id that no other log has.
func newLogID() string {
	id := uuid.New() // Unlike [events.NewID], all of it is random.
	return id.String()[:8]
}
