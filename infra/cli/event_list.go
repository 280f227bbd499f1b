package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
)

// listing holds the flags of event list.
type listing struct {
	eventFilter
	from, to input.Text
	limit    int
}

func (c *cli) eventList() *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use: "list", Args: input.None,
		Short: "List stored events, the newest last",
		Long: "List the events that the log has now, sorted by time, the newest last. `event tail` shows new ones as they are\n" +
			"stored, and `aggregate history` all of one aggregate.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.listEvents(cmd.Context(), l) },
	}
	l.flags(c, cmd)
	flags := cmd.Flags()
	flags.Var(&l.from, "since", "only events from then on: some time ago (10m, 1d12h), or a time (2026-01-31T12:00:00Z)")
	flags.Var(&l.to, "until", "only events up to then")
	flags.IntVar(&l.limit, "limit", 100, "at most this many, the newest of those that are selected; 0: all")
	c.listFlags(flags, "ids")
	return cmd
}

func (c *cli) listEvents(ctx context.Context, l listing) (err error) {
	if err := l.check(c); err != nil {
		return err
	}
	if l.limit < 0 {
		return input.Usagef("--limit is %d; it must not be negative", l.limit)
	}
	now := time.Now()
	if l.since, err = input.ParseMoment("--since", string(l.from), now); err != nil {
		return err
	}
	if l.until, err = input.ParseMoment("--until", string(l.to), now); err != nil {
		return err
	}
	if !l.until.IsZero() && l.until.Before(l.since) {
		return input.Usagef("--until is before --since, so that nothing lies between them")
	}
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return err
	}
	begin, end, err := client.between(ctx, l.since, l.until)
	if err != nil {
		return err
	}
	key := func(e logView) string { return e.ID }
	if c.format != output.Table || c.quiet {
		out := &output.Stream[logView]{Printer: c.printer(), Key: key}
		err := c.readEvents(ctx, client, l, begin, end, out.Put)
		return cmp.Or(err, out.Close()) // Closed after an interruption, too, so that JSON is whole.
	}
	var rows []logView // for the table, whose columns are as wide as the widest row
	err = c.readEvents(ctx, client, l, begin, end, func(e logView) error {
		rows = append(rows, e)
		return nil
	})
	if err != nil {
		return err
	}
	return output.List(c.printer(), rows, output.Columns[logView]{
		Heads: []string{"timestamp", "type", "aggregate", "aggregate id", "version", "data"},
		Row: func(e logView) []any {
			return []any{e.Timestamp, e.Type, e.Aggregate, output.Cell(e.AggregateID, 36), e.Version, output.Cell(string(e.Data), 100)}
		},
		Key: key,
	})
}

// readEvents calls put with the wanted events between two cursors, sorted by time, and
// says on stderr if there are more of them than the limit.
func (c *cli) readEvents(ctx context.Context, client *client, l listing, begin, end events.Cursor, put func(logView) error) error {
	if l.limit == 0 {
		return client.oldest(ctx, l.eventFilter, begin, end, func(e events.Recorded) error { return put(viewOfLog(e)) })
	}
	found, err := client.newest(ctx, l.eventFilter, l.limit+1, begin, end)
	if err != nil {
		return err
	}
	shown := found[max(0, len(found)-l.limit):]
	for _, e := range shown {
		if err := put(viewOfLog(e)); err != nil {
			return err
		}
	}
	if len(shown) < len(found) {
		_, _ = fmt.Fprintf(c.stderr, "there are older events than the %d that are listed; --limit=0 lists all, --until=%s those up to the first of them\n", l.limit, shown[0].Timestamp.UTC().Format(events.TimeLayout))
	}
	return nil
}

// between returns the cursors before the first and after the last event within two times.
// A zero time sets no bound.
func (c *client) between(ctx context.Context, since, until time.Time) (begin, end events.Cursor, err error) {
	if end, err = c.Store.End(ctx); err != nil {
		return nil, nil, err
	}
	if !since.IsZero() {
		if begin, err = c.Store.FindTime(ctx, since); err != nil {
			return nil, nil, err
		}
	}
	if !until.IsZero() {
		// Times of events are whole milliseconds.
		end, err = c.Store.FindTime(ctx, until.Add(time.Millisecond))
	}
	return begin, end, err
}
