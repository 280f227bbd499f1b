package redisdb

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// longestBlock bounds how long a reader may not notice that its context ended.
	longestBlock = 200 * time.Millisecond
	// clusterPoll is how often a reader of a cluster looks, since no command can
	// wait for streams of several slots.
	clusterPoll = 20 * time.Millisecond
	readDefault = 1000
)

// Partitions is how many partitions the log has.
func (s *Store) Partitions() int { return len(s.parts) }

// Read returns events after a cursor, at most limit (0: 1,000) from each
// partition; those of one partition are together and in order. If there are none
// it waits up to wait for one, and then returns none. It notices the end of ctx
// within half a second. While Redis is away the error has the code UNAVAILABLE,
// at once: it is for the caller to wait before the next try.
func (s *Store) Read(ctx context.Context, after events.Cursor, limit int, wait time.Duration) ([]events.Recorded, error) {
	if limit <= 0 {
		limit = readDefault
	}
	deadline := time.Now().Add(wait)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		left := time.Until(deadline)
		found, err := s.readOnce(ctx, after, limit, min(left, longestBlock))
		if err != nil || len(found) > 0 || left <= 0 {
			return found, err
		}
	}
}

func (s *Store) readOnce(ctx context.Context, after events.Cursor, limit int, block time.Duration) ([]events.Recorded, error) {
	if s.cluster {
		return s.readCluster(ctx, after, limit, block)
	}
	args := make([]any, 0, 6+2*len(s.parts))
	args = append(args, "xread", "count", limit)
	if ms := block.Milliseconds(); ms > 0 {
		args = append(args, "block", ms)
	}
	args = append(args, "streams")
	for p := range s.parts {
		args = append(args, s.logKey(p))
	}
	for p := range s.parts {
		args = append(args, after.At(p))
	}
	cmd := redis.NewSliceCmd(ctx, args...)
	_ = s.client.Process(ctx, cmd) // The command holds its error.
	return s.decodeStreams(nil, cmd, -1)
}

// readCluster asks every partition in one pipeline, and waits a little if there
// is nothing.
func (s *Store) readCluster(ctx context.Context, after events.Cursor, limit int, block time.Duration) ([]events.Recorded, error) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.SliceCmd, len(s.parts))
	for p := range s.parts {
		cmds[p] = redis.NewSliceCmd(ctx, "xread", "count", limit, "streams", s.logKey(p), after.At(p))
		cmds[p].SetFirstKeyPos(4)
		_ = pipe.Process(ctx, cmds[p])
	}
	_, _ = pipe.Exec(ctx) // Each command holds its own error.
	var out []events.Recorded
	for p, cmd := range cmds {
		var err error
		if out, err = s.decodeStreams(out, cmd, p); err != nil {
			return nil, err
		}
	}
	if len(out) == 0 && block > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(block, clusterPoll)):
		}
	}
	return out, nil
}

// decodeStreams adds the events in a reply of XREAD to out. The partition is read
// off the stream's name if it is not known.
func (s *Store) decodeStreams(out []events.Recorded, cmd *redis.SliceCmd, partition int) ([]events.Recorded, error) {
	streams, err := cmd.Result()
	if errors.Is(err, redis.Nil) {
		return out, nil
	}
	if err != nil {
		return nil, s.link.explain(err)
	}
	for _, stream := range streams {
		pair, _ := stream.([]any)
		if len(pair) != 2 {
			return nil, events.Errorf(events.CodeInternal, "XREAD answered a stream of %d parts", len(pair))
		}
		p := partition
		if name, _ := pair[0].(string); p < 0 {
			p = s.partitionOf(name)
		}
		entries, _ := pair[1].([]any)
		if out, err = decodeEntries(out, p, entries); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// decodeEntries adds the entries of one partition to out.
func decodeEntries(out []events.Recorded, partition int, entries []any) ([]events.Recorded, error) {
	if out == nil {
		out = make([]events.Recorded, 0, len(entries))
	}
	for _, entry := range entries {
		pair, _ := entry.([]any)
		var fields []any
		if len(pair) == 2 {
			fields, _ = pair[1].([]any)
		}
		if len(fields) < 6 {
			return nil, events.Errorf(events.CodeUndecodable, "partition %d of the log holds an entry that is no event: %s", partition, entryID(entry))
		}
		e, err := decodeFields(partition, pair[0], fields[1], fields[3], fields[5])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// decodeFields reads one event from the parts of a reply. The id may be
// "position-0" or the position alone.
func decodeFields(partition int, id, kind, head, data any) (events.Recorded, error) {
	at, _ := id.(string)
	at, _, _ = strings.Cut(at, "-")
	position, err := strconv.ParseUint(at, 10, 64)
	if err != nil {
		return events.Recorded{}, events.Errorf(events.CodeUndecodable, "partition %d of the log holds an entry with the id %v; ids are positions", partition, id)
	}
	k, _ := kind.(string)
	h, _ := head.(string)
	d, _ := data.(string)
	return decodeEntry(partition, position, k, h, d)
}

func (s *Store) partitionOf(key string) int {
	for p := range s.parts {
		if strings.HasPrefix(key, s.parts[p]) {
			return p
		}
	}
	return 0
}

// End returns the position of the last event of each partition, in one round trip.
func (s *Store) End(ctx context.Context) (events.Cursor, error) {
	pipe := s.client.Pipeline()
	cmds := make([]*redis.StringCmd, len(s.parts))
	for p := range s.parts {
		cmds[p] = pipe.Get(ctx, s.endKey(p))
	}
	_, _ = pipe.Exec(ctx) // Each command holds its own error.
	end := make(events.Cursor, len(s.parts))
	for p, cmd := range cmds {
		at, err := cmd.Uint64()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, s.link.explain(err)
		}
		end[p] = at
	}
	return end, nil
}
