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
//
// Of a partition that holds something else than events, those before it are returned. The
// error is then an [events.PartitionErrors], at once, beside the events of all partitions.
// Nothing is read of a partition whose position is [events.Nowhere].
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
		for i := range found {
			l.guard.observe(found[i].Partition, found[i].Position)
		}
		if err != nil || len(found) > 0 || left <= 0 {
			return found, err
		}
	}
}

func (l *Log) readOnce(ctx context.Context, after events.Cursor, limit int, block time.Duration) ([]events.Recorded, error) {
	if l.conn.Cluster() {
		return l.readEach(ctx, after, limit, block)
	}
	args := make([]any, 0, 6+2*len(l.parts))
	args = append(args, "xread", "count", limit)
	if ms := block.Milliseconds(); ms > 0 {
		args = append(args, "block", ms)
	}
	args = append(args, "streams")
	read := make([]int, 0, len(l.parts))
	for p := range l.parts {
		if after.At(p) != events.Nowhere {
			read = append(read, p)
			args = append(args, l.logKey(p))
		}
	}
	if len(read) == 0 {
		backoff.Wait(ctx, block)
		return nil, ctx.Err()
	}
	for _, p := range read {
		args = append(args, after.At(p))
	}
	cmd := redis.NewSliceCmd(ctx, args...)
	l.conn.ReadDurably(ctx, cmd)
	streams, err := l.streamsOf(cmd, cmd.Err())
	if err != nil && events.CodeOf(err) == events.CodeInternal {
		// One of the keys is not a stream, and fails the whole command.
		return l.readEach(ctx, after, limit, block)
	}
	if err != nil {
		return nil, err
	}
	found := decoded{}
	for _, s := range streams {
		found.add(l.partitionOf(s.name), s.entries)
	}
	return found.events, found.err()
}

// readEach asks every partition by itself, in one pipeline, and waits a little if there is
// nothing.
func (l *Log) readEach(ctx context.Context, after events.Cursor, limit int, block time.Duration) ([]events.Recorded, error) {
	pipe := l.conn.Client().Pipeline()
	cmds := make([]*redis.SliceCmd, len(l.parts))
	for p := range l.parts {
		if after.At(p) == events.Nowhere {
			continue
		}
		cmds[p] = redis.NewSliceCmd(ctx, "xread", "count", limit, "streams", l.logKey(p), after.At(p))
		cmds[p].SetFirstKeyPos(4)
		_ = pipe.Process(ctx, cmds[p])
	}
	_, _ = pipe.Exec(ctx) // Each command holds its own error.
	found := decoded{}
	for p, cmd := range cmds {
		if cmd == nil {
			continue
		}
		streams, err := l.streamsOf(cmd, cmd.Err())
		switch {
		case err != nil && events.CodeOf(err) == events.CodeInternal:
			found.fail(p, events.Errorf(events.CodeUndecodable, "partition %d of the log cannot be read: %w", p, err))
		case err != nil:
			return nil, err
		}
		for _, s := range streams {
			found.add(p, s.entries)
		}
	}
	if len(found.events)+len(found.errs) == 0 && block > 0 {
		if !backoff.Wait(ctx, min(block, clusterPoll)) {
			return nil, ctx.Err()
		}
	}
	return found.events, found.err()
}

// entriesOf are the entries of a stream in a reply of XREAD.
type entriesOf struct {
	name    string
	entries []any
}

// streamsOf returns the streams in a reply of XREAD. An error that is about the streams, and
// not about Redis, has the code INTERNAL.
func (l *Log) streamsOf(cmd *redis.SliceCmd, err error) ([]entriesOf, error) {
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, l.conn.Explain(err)
	}
	var out []entriesOf
	for _, stream := range cmd.Val() {
		pair, _ := stream.([]any)
		if len(pair) != 2 {
			return nil, events.Errorf(events.CodeInternal, "XREAD replied with a stream of %d parts", len(pair))
		}
		entries, _ := pair[1].([]any)
		out = append(out, entriesOf{conn.Text(pair[0]), entries})
	}
	return out, nil
}

// decoded are the events of a reply, and why partitions cannot be read on.
type decoded struct {
	events []events.Recorded
	errs   events.PartitionErrors
}

// add adds the entries of one partition, up to the first one that is not an event.
func (d *decoded) add(partition int, entries []any) {
	found, err := decodeEntries(d.events, partition, entries)
	d.events = found
	if err != nil {
		d.fail(partition, err)
	}
}

func (d *decoded) fail(partition int, err error) {
	if d.errs == nil {
		d.errs = events.PartitionErrors{}
	}
	d.errs[partition] = err
}

func (d *decoded) err() error {
	if len(d.errs) == 0 {
		return nil
	}
	return d.errs
}

// decodeEntries adds the entries of one partition to out, up to the first one that is not
// an event; the error names that.
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
			return out, events.Errorf(events.CodeUndecodable, "partition %d of the log holds an entry that is not an event: %s", partition, conn.EntryID(entry))
		}
		e, err := decodeFields(partition, pair[0], fields[1], fields[3], fields[5])
		if err != nil {
			return out, err
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

// End returns the position of the last event of each partition, in one round trip. If those
// of some partitions cannot be read, they are [events.Nowhere], and the error is an
// [events.PartitionErrors].
func (l *Log) End(ctx context.Context) (events.Cursor, error) {
	pipe := l.conn.Client().Pipeline()
	cmds := make([]*redis.StringCmd, len(l.parts))
	for p := range l.parts {
		cmds[p] = pipe.Get(ctx, l.endKey(p))
	}
	_, _ = pipe.Exec(ctx) // Each command holds its own error.
	end, found := make(events.Cursor, len(l.parts)), decoded{}
	for p, cmd := range cmds {
		at, err := cmd.Uint64()
		if err == nil || errors.Is(err, redis.Nil) {
			end[p] = at
			continue
		}
		if err = l.conn.Explain(err); events.CodeOf(err) != events.CodeInternal {
			return nil, err
		}
		end[p] = events.Nowhere
		found.fail(p, events.Errorf(events.CodeUndecodable, "the end of partition %d of the log cannot be read: %w", p, err))
	}
	return end, found.err()
}
