package cli

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poisonList() *cobra.Command {
	var p poisonFilter
	var groupBy []string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Args: input.None,
		Short: "List poison messages, the newest failure first, or count them",
		Long:  "List all poison messages that the filters select, without their bodies, which `poison show` and `poison export` print.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.listPoison(cmd.Context(), &p, groupBy, limit)
		},
	}
	p.flags(c, cmd)
	cmd.Flags().StringSliceVar(&groupBy, "group-by", nil, "count messages by handler, code, frame, type, … instead of listing them; several separated by commas")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most this many messages; 0: all")
	c.listFlags(cmd.Flags(), "ids")
	_ = cmd.RegisterFlagCompletionFunc("group-by", input.Words("code", "handler", "frame", "type")) // It fails only for a flag that is not there.
	return c.watchable(cmd)
}

func (c *cli) listPoison(ctx context.Context, p *poisonFilter, groupBy []string, limit int) error {
	filter, err := p.filter(time.Now())
	if err != nil {
		return err
	}
	if limit < 0 {
		return input.Usagef("--limit is %d; it must not be negative", limit)
	}
	if c.quiet && len(groupBy) > 0 {
		return input.Usagef("-q prints the ids of messages, and --group-by lists none; leave out one of them")
	}
	var fields []string
	for _, name := range groupBy {
		field, err := filterName("--group-by", name)
		if err != nil {
			return err
		}
		if !slices.Contains(fields, field) {
			fields = append(fields, field)
		}
	}
	admin, err := c.poisonAdmin(ctx)
	if err != nil {
		return err
	}
	messages := first(admin.Messages(ctx, filter, poison.NewestFirst), limit)
	if len(fields) > 0 {
		groups, err := poison.GroupBy(messages, fields...)
		if err != nil {
			return err
		}
		if len(groups) == 0 && selects(filter) {
			c.noteUnmatched(filter, 0, nil)
		}
		return printGroups(c.printer(), groups, fields)
	}
	count := 0
	var rows []poison.Message // for the table, whose columns are as wide as the widest row
	out := &output.Stream[poison.Message]{Printer: c.printer(), Key: func(m poison.Message) string { return m.ID }}
	for m, merr := range messages {
		count++
		switch {
		case merr != nil:
			err = merr
		case c.format == output.Table && !c.quiet:
			rows = append(rows, m)
		default:
			err = out.Put(m)
		}
		if err != nil {
			break
		}
	}
	if count == 0 && selects(filter) {
		c.noteUnmatched(filter, 0, nil)
	}
	if c.format != output.Table || c.quiet {
		return cmp.Or(err, out.Close()) // Closed after an interruption, too, so that JSON is whole.
	}
	if err != nil {
		return err
	}
	now := time.Now()
	return output.List(c.printer(), rows, output.Columns[poison.Message]{
		Heads: []string{"id", "handler", "type", "key", "code", "failures", "last failed", "reason"},
		Row: func(m poison.Message) []any {
			return []any{
				m.ID, m.Handler, output.Cell(m.Type, 30), output.Cell(m.Key, 36), output.Cell(m.Code, 30),
				m.Failures, output.Ago(now.Sub(m.LastFailedAt)), output.Cell(m.Reason, 60),
			}
		},
	})
}

// printGroups prints groups by some fields, which are columns of the table.
func printGroups(p output.Printer, groups []poison.Group, fields []string) error {
	return output.List(p, groups, output.Columns[poison.Group]{
		Heads: slices.Concat(fields, []string{"messages", "first failed", "last failed"}),
		Row: func(g poison.Group) []any {
			var row []any
			for _, v := range g.Values {
				row = append(row, output.Cell(v, 60))
			}
			return append(row, g.Messages, g.FirstFailedAt.Format(events.TimeLayout), g.LastFailedAt.Format(events.TimeLayout))
		},
	})
}

func (c *cli) poisonAudit() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "audit", Args: input.None,
		Short: "List what was done to poison messages, by whom and why, the newest first",
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.auditPoison(cmd.Context(), limit) },
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "at most this many changes; 0: all")
	c.listFlags(cmd.Flags(), "ids of the poison messages")
	return cmd
}

func (c *cli) auditPoison(ctx context.Context, limit int) error {
	if limit < 0 {
		return input.Usagef("--limit is %d; it must not be negative", limit)
	}
	admin, err := c.poisonAdmin(ctx)
	if err != nil {
		return err
	}
	var changes []poison.Change
	for change, err := range first(admin.Changes(ctx), limit) {
		if err != nil {
			return err
		}
		changes = append(changes, change)
	}
	return output.List(c.printer(), changes, output.Columns[poison.Change]{
		Heads: []string{"at", "action", "poison id", "handler", "code", "who", "why"},
		Row: func(v poison.Change) []any {
			return []any{
				v.At.Format(events.TimeLayout), v.Action, v.PoisonID, v.Handler,
				output.Cell(v.Code, 30), output.Cell(v.Who, 40), output.Cell(v.Why, 60),
			}
		},
		Key: func(v poison.Change) string { return v.PoisonID },
	})
}
