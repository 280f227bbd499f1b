package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (c *cli) poisonRetry() *cobra.Command {
	b := &bulk{c: c, verb: "Retry", done: "retried"}
	var edit bool
	var rate filledText
	cmd := &cobra.Command{
		Use:   "retry [ID…]",
		Short: "Retry poison messages",
		Long: "Put messages back into the queue of the handler that failed to process them, and of no other, with the same\n" +
			"id. Interrupted and run again, it loses none; a message that is published twice has the same id.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			var err error
			if b.interval, err = parseRate(string(rate)); err != nil {
				return err
			}
			return c.retryPoison(cmd.Context(), b, ids, edit)
		},
	}
	b.cmd = cmd
	b.flags(c, cmd)
	cmd.Flags().Var(&rate, "rate", "at most so many, such as 50/s or 30/m")
	cmd.Flags().BoolVar(&edit, "edit", false, "open the body of one message in $EDITOR first")
	cmd.Flags().StringVar(&b.why, "reason", "", "why, for the audit trail")
	return cmd
}

func (c *cli) retryPoison(ctx context.Context, b *bulk, ids []string, edit bool) error {
	if edit && (len(ids) != 1 || b.dryRun) {
		return usagef("--edit needs the id of exactly one poison message, and no --dry-run")
	}
	if err := b.begin(ctx, withCommands, ids); err != nil {
		return err
	}
	defer b.admin.Close()
	if edit {
		edited, err := c.editPoison(ctx, b.admin, ids[0], b.why)
		if err != nil || !edited {
			return err
		}
	}
	return b.run(ctx, b.admin.Retry)
}
