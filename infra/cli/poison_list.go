package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/redis/poisonstore"
	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poisonList() *cobra.Command {
	var p picking
	var groupBy []string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Args: none,
		Short: "Letters, the newest failure first, or how many there are",
		Long:  "List all letters that the filters pick, without their bodies, which `poison show` and `poison export` give.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.listLetters(cmd.Context(), &p, groupBy, limit)
		},
	}
	p.flags(c, cmd)
	cmd.Flags().StringSliceVar(&groupBy, "group-by", nil, "count letters by handler, code, frame, type, … instead of listing them; several separated by commas")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most this many letters; 0: all")
	_ = cmd.RegisterFlagCompletionFunc("group-by", words("code", "handler", "frame", "type")) // It fails only for a flag that is not there.
	return cmd
}

func (c *cli) listLetters(ctx context.Context, p *picking, groupBy []string, limit int) (err error) {
	filter, err := p.filter(time.Now())
	if err != nil {
		return err
	}
	if limit < 0 {
		return usagef("--limit is %d; it must not be negative", limit)
	}
	groups, err := newLetterGroups(groupBy)
	if err != nil {
		return err
	}
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return err
	}
	defer client.Close()
	var rows []poison.Message // for the table, whose columns are as wide as the widest row
	out := &stream[poison.Message]{p: c.printer()}
	put := out.Put
	switch {
	case len(groupBy) > 0:
		put = func(l poison.Message) error { groups.add(l); return nil }
	case c.format == formatTable:
		put = func(l poison.Message) error { rows = append(rows, l); return nil }
	}
	count := 0
	for l, err2 := range client.store.PoisonMessages(ctx, filter, poisonstore.NewestFirst) {
		if err2 == nil {
			err2 = put(l)
		}
		if err2 != nil {
			err = err2
			break
		}
		if count++; count == limit {
			break
		}
	}
	switch {
	case len(groupBy) > 0 && err == nil:
		return groups.print(c.printer())
	case len(groupBy) > 0:
		return err
	case c.format != formatTable:
		return cmp.Or(err, out.Close()) // Closed after an interruption, too, so that JSON is whole.
	case err != nil:
		return err
	}
	now := time.Now()
	return printList(c.printer(), rows,
		column[poison.Message]{"id", func(l poison.Message) string { return l.ID }},
		column[poison.Message]{"handler", func(l poison.Message) string { return l.Handler }},
		column[poison.Message]{"type", func(l poison.Message) string { return cell(l.Type, 30) }},
		column[poison.Message]{"key", func(l poison.Message) string { return cell(l.Key, 36) }},
		column[poison.Message]{"code", func(l poison.Message) string { return cell(l.Code, 30) }},
		column[poison.Message]{"failures", func(l poison.Message) string { return fmt.Sprint(l.Failures) }},
		column[poison.Message]{"last failed", func(l poison.Message) string { return ago(now.Sub(l.LastFailedAt)) }},
		column[poison.Message]{"reason", func(l poison.Message) string { return cell(l.Reason, 60) }})
}
