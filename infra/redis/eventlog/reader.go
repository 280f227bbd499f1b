package eventlog

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	// maxBlock bounds how long a reader may not notice that its context ended.
	maxBlock = 200 * time.Millisecond
	// clusterPoll is how often a reader of a cluster polls, since no command can wait
	// for streams of several slots.
	clusterPoll  = 20 * time.Millisecond
	defaultLimit = 1000 // events of one partition in one read
)

// Partitions is how many partitions the log has.
func (l *Log) Partitions() int { return len(l.parts) }

// Read returns events after a cursor, at most limit (0: 1,000) from each
// partition; those of one partition are together and in order. If there are none
// it waits up to wait for one, and then returns none. It notices the end of ctx
// within half a second. While Redis is unreachable the error has the code UNAVAILABLE,
// at once: the caller waits before the next attempt.
func (l *Log) Read(ctx context.Context, after events.Cursor, limit int, wait time.Duration) ([]events.Recorded, error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	deadline := time.Now().Add(wait)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		left := time.Until(deadline)
		found, err := l.readOnce(ctx, after, limit, min(left, maxBlock))
		if err != nil || len(found) > 0 || left <= 0 {
			return found, err
		}
	}
}

func (l *Log) readOnce(ctx context.Context, after events.Cursor, limit int, block time.Duration) ([]events.Recorded, error) {
	if l.conn.Cluster() {
		return l.readCluster(ctx, after, limit, block)
	}
	args := make([]any, 0, 6+2*len(l.parts))
	args = append(args, "xread", "count", limit)
	if ms := block.Milliseconds(); ms > 0 {
		args = append(args, "block", ms)
	}
	args = append(args, "streams")
	for p := range l.parts {
		args = append(args, l.logKey(p))
	}
	for p := range l.parts {
		args = append(args, after.At(p))
	}
	cmd := redis.NewSliceCmd(ctx, args...)
	l.conn.ReadDurably(ctx, cmd)
	return l.decodeStreams(nil, cmd, -1)
}

// readCluster asks every partition in one pipeline, and waits a little if there
// is nothing.
func (l *Log) readCluster(ctx context.Context, after events.Cursor, limit int, block time.Duration) ([]events.Recorded, error) {
	pipe := l.conn.Client().Pipeline()
	cmds := make([]*redis.SliceCmd, len(l.parts))
	for p := range l.parts {
		cmds[p] = redis.NewSliceCmd(ctx, "xread", "count", limit, "streams", l.logKey(p), after.At(p))
		cmds[p].SetFirstKeyPos(4)
		_ = pipe.Process(ctx, cmds[p])
	}
	_, _ = pipe.Exec(ctx) // Each command holds its own error.
	var out []events.Recorded
	for p, cmd := range cmds {
		var err error
		if out, err = l.decodeStreams(out, cmd, p); err != nil {
			return nil, err
		}
	}
	if len(out) == 0 && block > 0 {
		if !backoff.Wait(ctx, min(block, clusterPoll)) {
			return nil, ctx.Err()
		}
	}
	return out, nil
}

// decodeStreams adds the events in a reply of XREAD to out. The partition is read
// from the stream's name if it is not known.
func (l *Log) decodeStreams(out []events.Recorded, cmd *redis.SliceCmd, partition int) ([]events.Recorded, error) {
	streams, err := cmd.Result()
	if errors.Is(err, redis.Nil) {
		return out, nil
	}
	if err != nil {
		return nil, l.conn.Explain(err)
	}
	for _, stream := range streams {
		pair, _ := stream.([]any)
		if len(pair) != 2 {
			return nil, events.Errorf(events.CodeInternal, "XREAD replied with a stream of %d parts", len(pair))
		}
		p := partition
		if name, _ := pair[0].(string); p < 0 {
			p = l.partitionOf(name)
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
			return nil, events.Errorf(events.CodeUndecodable, "partition %d of the log holds an entry that is not an event: %s", partition, conn.EntryID(entry))
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

func (l *Log) partitionOf(key string) int {
	for p := range l.parts {
		if strings.HasPrefix(key, l.parts[p]) {
			return p
		}
	}
	return 0
}

// End returns the position of the last event of each partition, in one round trip.
func (l *Log) End(ctx context.Context) (events.Cursor, error) {
	pipe := l.conn.Client().Pipeline()
	cmds := make([]*redis.StringCmd, len(l.parts))
	for p := range l.parts {
		cmds[p] = pipe.Get(ctx, l.endKey(p))
	}
	_, _ = pipe.Exec(ctx) // Each command holds its own error.
	end := make(events.Cursor, len(l.parts))
	for p, cmd := range cmds {
		at, err := cmd.Uint64()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, l.conn.Explain(err)
		}
		end[p] = at
	}
	return end, nil
}
