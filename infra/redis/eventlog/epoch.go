package eventlog

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// fieldLogID is the field of the store record that identifies the log.
const fieldLogID = "log_id"

// Epoch returns the epoch of the log as it is at the time of the call; see
// [events.SameLog]. A log without one, as after all of Redis was deleted, gets a new one.
func (l *Log) Epoch(ctx context.Context) (string, error) {
	reply, err := l.conn.Do(ctx, "hget", l.conn.Key("store"), fieldLogID)
	if epoch, _ := reply.(string); err == nil && epoch != "" {
		return epoch, nil
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", err
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
