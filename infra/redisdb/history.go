package redisdb

import (
	"context"
	"sort"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// ReadRange returns up to limit (0: 1,000) events of one partition from a
// position on. It does not wait.
func (s *Store) ReadRange(ctx context.Context, partition int, from uint64, limit int) ([]events.Recorded, error) {
	if partition < 0 || partition >= len(s.parts) {
		return nil, events.Errorf(events.CodeNotFound, "the log has no partition %d; it has %d, counted from 0", partition, len(s.parts))
	}
	if limit <= 0 {
		limit = readDefault
	}
	entries, err := redisSlice(ctx, s.client, 1, "xrange", s.logKey(partition), from, "+", "count", limit)
	if err != nil {
		return nil, s.link.explain(err)
	}
	return decodeEntries(nil, partition, entries)
}

// FindTime returns a cursor that stands just before the first event of each
// partition that is not older than t. It looks at a few events only, and relies
// on the events of a partition being in the order of their time; clocks that
// differ between machines make it as wrong as they are.
func (s *Store) FindTime(ctx context.Context, t time.Time) (events.Cursor, error) {
	end, err := s.End(ctx)
	if err != nil {
		return nil, err
	}
	for p := range end {
		first, err := s.ReadRange(ctx, p, 0, 1)
		if err != nil {
			return nil, err
		}
		if len(first) == 0 {
			continue
		}
		from := first[0].Position
		n := sort.Search(int(end[p]-from+1), func(i int) bool {
			if err != nil {
				return true
			}
			var at []events.Recorded
			at, err = s.ReadRange(ctx, p, from+uint64(i), 1)
			return err != nil || len(at) == 0 || !at[0].Timestamp.Before(t)
		})
		if err != nil {
			return nil, err
		}
		end[p] = from + uint64(n) - 1
	}
	return end, nil
}

// redisSlice runs a command whose reply is an array. In a cluster, the argument at
// the place of its first key says which node it goes to.
func redisSlice(ctx context.Context, c redis.UniversalClient, firstKey int8, args ...any) ([]any, error) {
	cmd := redis.NewSliceCmd(ctx, args...)
	cmd.SetFirstKeyPos(firstKey)
	_ = c.Process(ctx, cmd) // The command holds its error.
	return cmd.Result()
}
