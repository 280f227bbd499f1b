package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
)

const (
	// tailBatch is how many events of each partition are read at once.
	tailBatch = 500
	// tailWait is how long one read waits for new events.
	tailWait = time.Second
)

// logView is an event of the log as it is printed, with the aggregate it belongs to.
type logView struct {
	eventView
	Aggregate   string `json:"aggregate"`
	AggregateID string `json:"aggregate_id"`
}

// tailing holds the flags of event tail.
type tailing struct {
	types    input.List
	since    input.Text
	last     int
	limit    int
	noFollow bool
}

func (c *cli) event() *cobra.Command {
	var t tailing
	tail := &cobra.Command{
		Use: "tail", Args: input.None,
		Short: "Print the log, live",
		Long:  "Print the newest events of the log and then each new one as it is stored.",
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.runTail(cmd.Context(), t) },
	}
	flags := tail.Flags()
	flags.SortFlags = false
	flags.Var(&t.types, "type", "only events of this type; may be repeated")
	flags.Var(&t.since, "since", "begin there: some time ago (10m), or a time (2026-01-31T12:00:00Z)")
	flags.IntVarP(&t.last, "last", "n", 10, "without --since, begin with this many past events, of those that --type picks")
	flags.IntVar(&t.limit, "limit", 0, "end after this many events; 0: no limit")
	flags.BoolVar(&t.noFollow, "no-follow", false, "end at the end of the log instead of waiting for more")
	_ = tail.RegisterFlagCompletionFunc("type", input.Words(c.Catalogue.Events()...)) // It fails only for a flag that is not there.
	return input.Group("event", "The events of the log", tail)
}

func (c *cli) runTail(ctx context.Context, t tailing) (err error) {
	for _, name := range t.types {
		if known, ok := c.Catalogue.Lookup(name); !ok || known.Command {
			return input.NotFound("event type", name, c.Catalogue.Events())
		}
	}
	if t.last < 0 || t.limit < 0 {
		return input.Usagef("--last is %d and --limit is %d; neither may be negative", t.last, t.limit)
	}
	since, err := input.ParseMoment("--since", string(t.since), time.Now())
	if err != nil {
		return err
	}
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return err
	}
	out := &output.Stream[logView]{Printer: c.printer(), Line: logLine}
	defer func() { err = cmp.Or(err, out.Close()) }()
	return client.tail(ctx, t, since, out.Put)
}

// tail calls put with the past events and then with each new one.
func (c *client) tail(ctx context.Context, t tailing, since time.Time, put func(logView) error) error {
	end, err := c.Store.End(ctx)
	if err != nil {
		return err
	}
	at, past, err := c.beginning(ctx, t, since, end)
	if err != nil {
		return err
	}
	count := 0
	done := func() bool { return t.limit > 0 && count >= t.limit }
	show := func(batch []events.Recorded) error {
		for _, e := range inTime(batch) {
			if done() {
				return nil
			}
			if !t.matches(e) || e.Timestamp.Before(since) {
				continue
			}
			count++
			if err := put(logView{viewOfEvent(e), e.Aggregate, e.AggregateID}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := show(past); err != nil {
		return err
	}
	for !done() && (!t.noFollow || at.Behind(end) > 0) {
		batch, err := c.Store.Read(ctx, at, tailBatch, tailWait)
		if err != nil {
			return err
		}
		at = at.Clone(len(end))
		for _, e := range batch {
			at[e.Partition] = e.Position
		}
		if err := show(batch); err != nil {
			return err
		}
		if len(batch) == 0 && t.noFollow {
			return nil // What is missing up to the end was archived.
		}
	}
	return nil
}

// beginning returns where to read from, and the past events to show before that.
func (c *client) beginning(ctx context.Context, t tailing, since time.Time, end events.Cursor) (events.Cursor, []events.Recorded, error) {
	if !since.IsZero() {
		at, err := c.Store.FindTime(ctx, since)
		return at, nil, err
	}
	past, err := c.newest(ctx, t, end)
	return end, past, err
}

// newest returns the last wanted events up to end. It reads the log backwards, a page of
// every partition at a time, until no partition can hold an event that is newer than
// those found.
func (c *client) newest(ctx context.Context, t tailing, end events.Cursor) ([]events.Recorded, error) {
	var found []events.Recorded
	unread := end.Clone(len(end)) // up to where
	for size := min(t.last, tailBatch); size > 0 && events.Cursor(nil).Behind(unread) > 0; size = min(2*size, tailBatch) {
		from := end.Clone(len(end)) // for a partition that is done, where nothing is
		for p, at := range unread {
			if at > 0 {
				from[p] = at - min(at, uint64(size))
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
			if t.matches(e) {
				page = append(page, e)
			}
		}
		found = inTime(append(page, found...))
		found = found[max(0, len(found)-t.last):]
		for p := range unread {
			at, is := oldest[p]
			if unread[p] = from[p]; !is || len(found) == t.last && !at.After(found[0].Timestamp) {
				unread[p] = 0
			}
		}
	}
	return found, nil
}

func (t tailing) matches(e events.Recorded) bool {
	return len(t.types) == 0 || slices.Contains(t.types, e.Type)
}

// inTime sorts events of several partitions by time; those of one partition keep their
// order.
func inTime(batch []events.Recorded) []events.Recorded {
	slices.SortStableFunc(batch, func(a, b events.Recorded) int { return a.Timestamp.Compare(b.Timestamp) })
	return batch
}

// logLine returns an event as a line for people.
func logLine(e logView) string {
	return fmt.Sprintf("%s  %-20s v%-4d %s %s  %s", e.Timestamp, e.Type, e.Version, e.Aggregate, e.AggregateID, e.Data)
}
