package eventlog

import (
	"context"
	_ "embed" // scripts
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// DefaultOutcomeTTL is how long the outcome of a command is kept where nothing else is set.
const DefaultOutcomeTTL = 7 * 24 * time.Hour

var (
	//go:embed append.lua
	appendLua string
	//go:embed load.lua
	loadLua string
	//go:embed snapshot.lua
	snapshotLua string
	//go:embed checkpoint.lua
	checkpointLua string
	//go:embed recover.lua
	recoverLua string
	//go:embed accept.lua
	acceptLua string
	//go:embed raise.lua
	raiseLua string
)

// Log is the log of a store. It is safe for concurrent use.
type Log struct {
	conn       *conn.Conn
	parts      []string // what the keys of each partition start with
	outcomeTTL time.Duration
	id         func(context.Context) (string, error)
	guard      guard

	append, load, snapshot, checkpoint, recover, accept, raise *conn.Script
}

// New returns the log with the partitions of [OpenPartitions]. The outcome of a command
// is kept for outcomeTTL, at least a millisecond. The function id returns the id of the log that
// Redis has at the time of the call.
func New(c *conn.Conn, partitions []string, outcomeTTL time.Duration, id func(context.Context) (string, error)) *Log {
	return &Log{
		conn: c, parts: partitions, outcomeTTL: outcomeTTL, id: id, guard: newGuard(len(partitions)),
		append: conn.NewLoadedScript(appendLua), load: conn.NewScript(loadLua),
		snapshot: conn.NewScript(snapshotLua), checkpoint: conn.NewScript(checkpointLua),
		recover: conn.NewScript(recoverLua), accept: conn.NewScript(acceptLua), raise: conn.NewScript(raiseLua),
	}
}

// Append stores events and outcome in one write. If an outcome is stored already
// under the same command id, that one is returned and nothing is written. If
// there are events and the aggregate's version is not the expected one, the error
// has the code VERSION_CONFLICT. After an error with the code UNAVAILABLE, or of
// ctx, it is unknown whether it was stored: the same Append again finds out.
func (l *Log) Append(ctx context.Context, a events.AppendRequest) (events.Outcome, error) {
	if err := a.Validate(); err != nil {
		return events.Outcome{}, err
	}
	outcome, err := encodeOutcome(a.Outcome)
	if err != nil {
		return events.Outcome{}, err
	}
	p := l.partition(a.AggregateID)
	keys := []string{
		l.outcomeKey(p, a.Aggregate, a.AggregateID, a.Outcome.CommandID), l.indexKey(p, a.Aggregate, a.AggregateID), l.endKey(p), l.logKey(p), l.gapsKey(p),
	}
	args := make([]any, 0, 4+3*len(a.Events))
	args = append(args, a.ExpectedVersion, l.outcomeTTL.Milliseconds(), outcome, uint64(0))
	for i := range a.Events {
		e := &a.Events[i]
		args = append(args, e.Type, encodeHead(e.Header, a.Aggregate, a.AggregateID), []byte(e.Data))
	}
	reply, err := l.runAppend(ctx, p, keys, args)
	if err != nil && events.CodeOf(err) == events.CodeInternal && ctx.Err() == nil {
		err = events.Errorf(events.CodeInternal, "partition %d of the log refuses what is appended: %w", p, err).MayRetry()
	}
	if err != nil {
		return events.Outcome{}, err
	}
	switch v := reply.(type) {
	case string:
		stored, err := decodeOutcome(v, a.Aggregate, a.AggregateID, a.Outcome.CommandID)
		stored.Repeated = true
		return stored, err
	case int64:
		if v < 0 {
			l.guard.observe(p, uint64(-1-v))
			return a.Outcome, nil
		}
		return events.Outcome{}, events.Errorf(events.CodeConflict, "%s %s is at version %d, and the decision was made on version %d",
			a.Aggregate, a.AggregateID, v, a.ExpectedVersion).MayRetry()
	}
	return events.Outcome{}, events.Errorf(events.CodeInternal, "append.lua replied %T", reply)
}

// runAppend runs append.lua on a log that has not lost its end, or goes on behind the gap.
func (l *Log) runAppend(ctx context.Context, p int, keys []string, args []any) (any, error) {
	if l.guard.verified.Load() == 0 && l.guard.witness != nil {
		if err := l.admitAppends(ctx, 0); err != nil {
			return nil, err
		}
	}
	for range maxVerifications {
		verification := l.guard.verified.Load()
		args[3] = l.guard.seen[p].Load()
		reply, err := l.conn.RunDurably(ctx, l.append, keys, args...)
		if _, behind := reply.([]any); !behind && !isUnknownScript(err) {
			return reply, err
		}
		if err := l.admitAppends(ctx, verification); err != nil {
			return nil, err
		}
	}
	return nil, events.Errorf(events.CodeUnavailable, "partition %d of the log cannot be appended to: Redis lost its scripts or the end of the log %d times in a row", p, maxVerifications).MayRetry().
		WithHint("see whether Redis restarts again and again, or something runs SCRIPT FLUSH or removes keys")
}
