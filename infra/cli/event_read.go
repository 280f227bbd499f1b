package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
)

// readBatch is how many events of each partition are read at once.
const readBatch = 500

// eventFilter has the flags that select events of the log. Times are those of the flags
// that each command has of its own.
type eventFilter struct {
	types, aggregates, ids input.List
	since, until           time.Time // zero: no bound
}

func (f *eventFilter) flags(c *cli, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(&f.types, "type", "only events of this type; may be repeated")
	flags.Var(&f.aggregates, "aggregate", "only events of aggregates of this type; may be repeated")
	flags.Var(&f.ids, "aggregate-id", "only events of the aggregate with this id; may be repeated")
	// These fail only for a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc("type", input.Words(c.Catalogue.Events()...))
	_ = cmd.RegisterFlagCompletionFunc("aggregate", input.Words(c.Catalogue.Aggregates()...))
}

// check returns an error for a type that does not exist.
func (f *eventFilter) check(c *cli) error {
	for _, name := range f.types {
		if known, ok := c.Catalogue.Lookup(name); !ok || known.Command {
			return input.NotFound("event type", name, c.Catalogue.Events())
		}
	}
	for _, name := range f.aggregates {
		if _, ok := c.Catalogue.LookupAggregate(name); !ok {
			return input.NotFound("aggregate type", name, c.Catalogue.Aggregates())
		}
	}
	return nil
}

// matches reports whether an event is wanted.
func (f *eventFilter) matches(e events.Recorded) bool {
	among := func(names input.List, name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	return among(f.types, e.Type) && among(f.aggregates, e.Aggregate) && among(f.ids, e.AggregateID) &&
		!e.Timestamp.Before(f.since) && (f.until.IsZero() || !e.Timestamp.After(f.until))
}

// newest returns the last n wanted events between two cursors, sorted by time. It reads the
// log backwards, a page of every partition at a time, until no partition can hold an event
// that is newer than those found.
func (c *client) newest(ctx context.Context, f eventFilter, n int, begin, end events.Cursor) ([]events.Recorded, error) {
	var found []events.Recorded
	unread := end.Clone(len(end)) // up to where
	for size := min(n, readBatch); size > 0 && begin.Behind(unread) > 0; size = min(2*size, readBatch) {
		from := end.Clone(len(end)) // for a partition that is done, where nothing is
		for p, at := range unread {
			if at > begin.At(p) {
				from[p] = at - min(at-begin.At(p), uint64(size))
			}
		}
		batch, err := c.Store.Read(ctx, from, size, 0)
		if err != nil {
			return nil, err
		}
		var page []events.Recorded
		oldest := map[int]time.Time{}
		for _, e := range batch {
			if e.Position > unread[e.Partition] {
				continue // It came after end, or is known already: what lies before it was archived.
			}
			if _, is := oldest[e.Partition]; !is {
				oldest[e.Partition] = e.Timestamp
			}
			if f.matches(e) {
				page = append(page, e)
			}
		}
		found = inTime(append(page, found...))
		found = found[max(0, len(found)-n):]
		for p := range unread {
			at, is := oldest[p]
			if unread[p] = from[p]; !is || len(found) == n && !at.After(found[0].Timestamp) {
				unread[p] = 0
			}
		}
	}
	return found, nil
}

// oldest calls put with the wanted events between two cursors, sorted by time, until put
// returns an error. It holds no more than one page of each partition.
func (c *client) oldest(ctx context.Context, f eventFilter, begin, end events.Cursor, put func(events.Recorded) error) error {
	at := begin.Clone(len(end))
	pages := make([][]events.Recorded, len(end)) // what is read of each partition and not put yet
	unknown := func(p int) bool { return len(pages[p]) == 0 && at[p] < end[p] }
	for {
		from := end.Clone(len(end)) // for a partition that is not to be read, where nothing is
		reading := false
		for p := range pages {
			if unknown(p) {
				from[p], reading = at[p], true
			}
		}
		if reading {
			batch, err := c.Store.Read(ctx, from, readBatch, 0)
			if err != nil {
				return err
			}
			for p := range pages {
				if unknown(p) {
					at[p] = end[p] // Unless there are events before: what is missing was archived.
				}
			}
			for _, e := range batch {
				if from[e.Partition] == end[e.Partition] || e.Position > end[e.Partition] {
					continue // It came after end.
				}
				at[e.Partition] = e.Position
				if f.matches(e) {
					pages[e.Partition] = append(pages[e.Partition], e)
				}
			}
		}
		// The next event in time is known while each partition has one or is at its end.
		for next := 0; next >= 0; {
			next = -1
			for p, page := range pages {
				if unknown(p) {
					next = -1
					break
				}
				if len(page) > 0 && (next < 0 || page[0].Timestamp.Before(pages[next][0].Timestamp)) {
					next = p
				}
			}
			if next >= 0 {
				if err := put(pages[next][0]); err != nil {
					return err
				}
				pages[next] = pages[next][1:]
			}
		}
		if at.Behind(end) == 0 && !slices.ContainsFunc(pages, func(page []events.Recorded) bool { return len(page) > 0 }) {
			return nil
		}
	}
}

// inTime sorts events of several partitions by time; those of one partition keep their
// order.
func inTime(batch []events.Recorded) []events.Recorded {
	slices.SortStableFunc(batch, func(a, b events.Recorded) int { return a.Timestamp.Compare(b.Timestamp) })
	return batch
}
