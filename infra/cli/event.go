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

// tailWait is how long one read waits for new events.
const tailWait = time.Second

// logView is an event of the log as it is printed, with the aggregate it belongs to.
type logView struct {
	eventView
	Aggregate   string `json:"aggregate"`
	AggregateID string `json:"aggregate_id"`
}

func viewOfLog(e events.Recorded) logView {
	return logView{viewOfEvent(e), e.Aggregate, e.AggregateID}
}

// tailing holds the flags of event tail.
type tailing struct {
	eventFilter
	from     input.Text
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
	t.flags(c, tail)
	flags := tail.Flags()
	flags.Var(&t.from, "since", "begin there: some time ago (10m, 1d12h), or a time (2026-01-31T12:00:00Z)")
	flags.IntVarP(&t.last, "last", "n", 10, "without --since, begin with this many past events, of those that are selected")
	flags.IntVar(&t.limit, "limit", 0, "end after this many events; 0: no limit")
	flags.BoolVar(&t.noFollow, "no-follow", false, "end at the end of the log instead of waiting for more")
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "print only the ids, one a line")
	return input.Group("event", "The events of the log", tail, c.watchable(c.eventList()))
}

func (c *cli) runTail(ctx context.Context, t tailing) (err error) {
	if err := t.check(c); err != nil {
		return err
	}
	if t.last < 0 || t.limit < 0 {
		return input.Usagef("--last is %d and --limit is %d; neither may be negative", t.last, t.limit)
	}
	if t.since, err = input.ParseMoment("--since", string(t.from), time.Now()); err != nil {
		return err
	}
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return err
	}
	out := &output.Stream[logView]{Printer: c.printer(), Line: logLine, Key: func(e logView) string { return e.ID }}
	defer func() { err = cmp.Or(err, out.Close()) }()
	return client.tail(ctx, t, out.Put)
}

// tail calls put with the past events and then with each new one.
func (c *client) tail(ctx context.Context, t tailing, put func(logView) error) error {
	end, err := c.Store.End(ctx)
	if err != nil {
		return err
	}
	at, past, err := c.beginning(ctx, t, end)
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
			if !t.matches(e) {
				continue
			}
			count++
			if err := put(viewOfLog(e)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := show(past); err != nil {
		return err
	}
	for !done() && (!t.noFollow || at.Behind(end) > 0) {
		batch, err := c.Store.Read(ctx, at, readBatch, tailWait)
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
func (c *client) beginning(ctx context.Context, t tailing, end events.Cursor) (events.Cursor, []events.Recorded, error) {
	if !t.since.IsZero() {
		at, err := c.Store.FindTime(ctx, t.since)
		return at, nil, err
	}
	past, err := c.newest(ctx, t.eventFilter, t.last, nil, end)
	return end, past, err
}

// logLine returns an event as a line for people.
func logLine(e logView) string {
	return fmt.Sprintf("%s  %-20s v%-4d %s %s  %s", e.Timestamp, e.Type, e.Version, e.Aggregate, e.AggregateID, e.Data)
}
