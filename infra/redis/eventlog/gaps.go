package eventlog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// The key gaps of a partition says what the partition has lost, and does not exist unless
// it has. It is one string, so that append.lua reads it together with the key end, and
// begins with what the scripts need:
//
//	1200 300|900 1200 1764300000000 0
//	│    │   │   │    │             └ 1 once an operator has accepted the loss
//	│    │   │   │    └ when it was found, in milliseconds
//	│    │   └───┴ the partition ended at 900, and had reached 1200: one gap, others may follow
//	│    └ how many events are gone, of all gaps
//	└ the next event comes after this position
//
// The key end stays the position of the last event that there is: a reader that has reached
// it has read everything.

// marks are the keys end and gaps of a partition.
type marks struct {
	end  uint64
	gaps string
}

// floor is the position that the next event follows.
func (m marks) floor() uint64 {
	var after uint64
	_, _ = fmt.Sscanf(m.gaps, "%d", &after) // It is empty in most logs.
	return max(m.end, after)
}

// readMarks reads the marks of all partitions in one round trip.
func (l *Log) readMarks(ctx context.Context) ([]marks, error) {
	pipe := l.conn.Client().Pipeline()
	ends, gaps := make([]*redis.StringCmd, len(l.parts)), make([]*redis.StringCmd, len(l.parts))
	for p := range l.parts {
		ends[p], gaps[p] = pipe.Get(ctx, l.endKey(p)), pipe.Get(ctx, l.gapsKey(p))
	}
	_, _ = pipe.Exec(ctx) // Each command holds its own error.
	out := make([]marks, len(l.parts))
	for p := range l.parts {
		end, err := ends[p].Uint64()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, l.conn.Explain(err)
		}
		text, err := gaps[p].Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, l.conn.Explain(err)
		}
		out[p] = marks{end, text}
	}
	return out, nil
}

// Gaps returns what the log has lost, by partition and in order; none for most logs.
func (l *Log) Gaps(ctx context.Context) ([]events.LogGap, error) {
	all, err := l.readMarks(ctx)
	if err != nil {
		return nil, err
	}
	var out []events.LogGap
	for p, m := range all {
		_, list, _ := strings.Cut(m.gaps, "|")
		for text := range strings.SplitSeq(list, "|") {
			if text == "" {
				continue
			}
			var end, witnessed uint64
			var ms int64
			var accepted int
			if _, err := fmt.Sscanf(text, "%d %d %d %d", &end, &witnessed, &ms, &accepted); err != nil {
				return nil, events.Errorf(events.CodeUndecodable, "the key %s says that %q is lost, which is not a gap", l.gapsKey(p), text)
			}
			out = append(out, events.LogGap{Partition: p, End: end, Witnessed: witnessed, Since: time.UnixMilli(ms).UTC(), Accepted: accepted == 1})
		}
	}
	return out, nil
}

// AcceptGap records that an operator accepts that what a gap held is gone: it no longer
// counts as a fault. So does every earlier gap of its partition. Accepting it again changes
// nothing.
func (l *Log) AcceptGap(ctx context.Context, g events.LogGap) error {
	if g.Partition < 0 || g.Partition >= len(l.parts) {
		return events.Errorf(events.CodeNotFound, "the log has no partition %d; it has %d, counted from 0", g.Partition, len(l.parts))
	}
	_, err := l.conn.Run(ctx, l.accept, []string{l.gapsKey(g.Partition)}, g.Witnessed)
	return err
}
