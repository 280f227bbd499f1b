package eventlog

import (
	"context"
	"errors"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Epoch returns the epoch of the log as it is at the time of the call; see
// [events.SameLog]: the id of the log, and the number of the epoch from the second one on. It
// is empty in a store that is opened for reading and does not exist.
func (l *Log) Epoch(ctx context.Context) (string, error) {
	id, err := l.id(ctx)
	if err != nil || id == "" {
		return "", err
	}
	n, err := l.storedEpoch(ctx)
	if err != nil {
		return "", err
	}
	if n = max(n, l.guard.epoch.Load()); n > 0 {
		id += "." + strconv.FormatUint(n, 10)
	}
	return id, nil
}

// storedEpoch returns the number of the epoch in Redis; 0 if the log never lost its end.
func (l *Log) storedEpoch(ctx context.Context) (uint64, error) {
	n, err := l.conn.Client().Get(ctx, l.epochKey()).Uint64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, l.conn.Explain(err)
	}
	return n, nil
}
