package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poisonAudit() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "audit", Args: none,
		Short: "List what was done to poison messages, by whom and why, the newest first",
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.auditPoison(cmd.Context(), limit) },
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "at most this many changes; 0: all")
	return cmd
}

func (c *cli) auditPoison(ctx context.Context, limit int) error {
	if limit < 0 {
		return usagef("--limit is %d; it must not be negative", limit)
	}
	admin, err := c.poisonAdmin(ctx, storeOnly)
	if err != nil {
		return err
	}
	defer admin.Close()
	var changes []poison.Change
	for change, err := range first(admin.Changes(ctx), limit) {
		if err != nil {
			return err
		}
		changes = append(changes, change)
	}
	return printList(c.printer(), changes,
		column[poison.Change]{"at", func(v poison.Change) string { return v.At.Format(events.TimeLayout) }},
		column[poison.Change]{"action", func(v poison.Change) string { return v.Action }},
		column[poison.Change]{"poison id", func(v poison.Change) string { return v.PoisonID }},
		column[poison.Change]{"handler", func(v poison.Change) string { return v.Handler }},
		column[poison.Change]{"code", func(v poison.Change) string { return cell(v.Code, 30) }},
		column[poison.Change]{"who", func(v poison.Change) string { return cell(v.Who, 40) }},
		column[poison.Change]{"why", func(v poison.Change) string { return cell(v.Why, 60) }})
}
