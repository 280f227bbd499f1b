package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poisonList() *cobra.Command {
	var p poisonFilter
	var groupBy []string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Args: none,
		Short: "List poison messages, the newest failure first, or count them",
		Long:  "List all poison messages that the filters select, without their bodies, which `poison show` and `poison export` print.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.listPoison(cmd.Context(), &p, groupBy, limit)
		},
	}
	p.flags(c, cmd)
	cmd.Flags().StringSliceVar(&groupBy, "group-by", nil, "count messages by handler, code, frame, type, … instead of listing them; several separated by commas")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most this many messages; 0: all")
	_ = cmd.RegisterFlagCompletionFunc("group-by", words("code", "handler", "frame", "type")) // It fails only for a flag that is not there.
	return cmd
}

func (c *cli) listPoison(ctx context.Context, p *poisonFilter, groupBy []string, limit int) error {
	filter, err := p.filter(time.Now())
	if err != nil {
		return err
	}
	if limit < 0 {
		return usagef("--limit is %d; it must not be negative", limit)
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
	admin, err := c.poisonAdmin(ctx, storeOnly)
	if err != nil {
		return err
	}
	defer admin.Close()
	messages := first(admin.Messages(ctx, filter, poison.NewestFirst), limit)
	if len(fields) > 0 {
		groups, err := poison.GroupBy(messages, fields...)
		if err != nil {
			return err
		}
		return printGroups(c.printer(), groups, fields)
	}
	var rows []poison.Message // for the table, whose columns are as wide as the widest row
	out := &stream[poison.Message]{p: c.printer()}
	for m, merr := range messages {
		switch {
		case merr != nil:
			err = merr
		case c.format == formatTable:
			rows = append(rows, m)
		default:
			err = out.Put(m)
		}
		if err != nil {
			break
		}
	}
	if c.format != formatTable {
		return cmp.Or(err, out.Close()) // Closed after an interruption, too, so that JSON is whole.
	}
	if err != nil {
		return err
	}
	now := time.Now()
	return printList(c.printer(), rows,
		column[poison.Message]{"id", func(m poison.Message) string { return m.ID }},
		column[poison.Message]{"handler", func(m poison.Message) string { return m.Handler }},
		column[poison.Message]{"type", func(m poison.Message) string { return cell(m.Type, 30) }},
		column[poison.Message]{"key", func(m poison.Message) string { return cell(m.Key, 36) }},
		column[poison.Message]{"code", func(m poison.Message) string { return cell(m.Code, 30) }},
		column[poison.Message]{"failures", func(m poison.Message) string { return fmt.Sprint(m.Failures) }},
		column[poison.Message]{"last failed", func(m poison.Message) string { return ago(now.Sub(m.LastFailedAt)) }},
		column[poison.Message]{"reason", func(m poison.Message) string { return cell(m.Reason, 60) }})
}

// printGroups prints groups by some fields, which are columns of the table.
func printGroups(p printer, groups []poison.Group, fields []string) error {
	var columns []column[poison.Group]
	for i, f := range fields {
		columns = append(columns, column[poison.Group]{f, func(g poison.Group) string { return cell(g.Values[i], 60) }})
	}
	return printList(p, groups, append(columns,
		column[poison.Group]{"messages", func(g poison.Group) string { return fmt.Sprint(g.Messages) }},
		column[poison.Group]{"first failed", func(g poison.Group) string { return g.FirstFailedAt.Format(events.TimeLayout) }},
		column[poison.Group]{"last failed", func(g poison.Group) string { return g.LastFailedAt.Format(events.TimeLayout) }})...)
}
