package eventlog

import (
	"context"
	"sort"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// ReadRange returns up to limit (0: 1,000) events of one partition from a
// position on. It does not wait.
func (l *Log) ReadRange(ctx context.Context, partition int, from uint64, limit int) ([]events.Recorded, error) {
	if partition < 0 || partition >= len(l.parts) {
		return nil, events.Errorf(events.CodeNotFound, "the log has no partition %d; it has %d, counted from 0", partition, len(l.parts))
	}
	if limit <= 0 {
		limit = defaultLimit
	}
	entries, err := l.conn.Slice(ctx, 1, "xrange", l.logKey(partition), from, "+", "count", limit)
	if err != nil {
		return nil, l.conn.Explain(err)
	}
	return decodeEntries(nil, partition, entries)
}

// FindTime returns a cursor just before the first event of each partition that is not
// older than t. It is a binary search that relies on the events of a partition being in
// the order of their time, and so is as wrong as the clocks of the machines differ.
func (l *Log) FindTime(ctx context.Context, t time.Time) (events.Cursor, error) {
	end, err := l.End(ctx)
	if err != nil {
		return nil, err
	}
	for p := range end {
		first, err := l.ReadRange(ctx, p, 0, 1)
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
			at, err = l.ReadRange(ctx, p, from+uint64(i), 1)
			return err != nil || len(at) == 0 || !at[0].Timestamp.Before(t)
		})
		if err != nil {
			return nil, err
		}
		end[p] = from + uint64(n) - 1
	}
	return end, nil
}
