package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
)

func (c *cli) poisonRetry() *cobra.Command {
	b := &bulk{c: c, verb: "Retry", done: "retried", retries: true}
	var edit, wait bool
	var rate input.Text
	cmd := &cobra.Command{
		Use:   "retry [ID…]",
		Short: "Retry poison messages",
		Long: "Put messages back into the queue of the handler that failed to process them, and of no other, with the same\n" +
			"id. Interrupted and run again, it loses none; a message that is published twice has the same id. Where nobody\n" +
			"consumes the queue, it says so, and exits with 3 unless a running instance declares it.\n\n" +
			"Their handlers process them afterwards. With --wait, the command follows each one until it is handled or fails\n" +
			"again, and exits with 3 if some failed again, and with 124 if nothing is known of some at the end of --timeout.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			ctx := cmd.Context()
			var err error
			if b.interval, err = input.ParseRate(string(rate)); err != nil {
				return err
			}
			if b.timeout <= 0 {
				return input.Usagef("--timeout is %s; it must be more than 0s", b.timeout)
			}
			if edit && (len(ids) != 1 || b.dryRun) {
				return input.Usagef("--edit needs the id of exactly one poison message, and no --dry-run")
			}
			if err := b.begin(ctx, withCommands, ids); err != nil {
				return err
			}
			if edit {
				edited, err := c.editPoison(ctx, b.admin, ids[0], b.why)
				if err != nil || !edited {
					return err
				}
			}
			if wait {
				return b.run(ctx, b.retryAndFollow)
			}
			return b.run(ctx, b.retry)
		},
	}
	b.flags(cmd)
	cmd.Flags().Var(&rate, "rate", "at most so many, such as 50/s or 30/m")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until each message is handled or has failed again")
	cmd.Flags().DurationVar(&b.timeout, "timeout", 30*time.Second, "how long to wait")
	cmd.Flags().BoolVar(&edit, "edit", false, "open the body of one message in $EDITOR first")
	cmd.Flags().StringVar(&b.why, "reason", "", "why, for the audit trail")
	return cmd
}

func (c *cli) poisonDiscard() *cobra.Command {
	b := &bulk{c: c, verb: "Discard", done: "discarded"}
	var reason input.Text
	cmd := &cobra.Command{
		Use:   "discard [ID…] --reason TEXT",
		Short: "Remove poison messages permanently",
		Long: "Remove poison messages that are not needed any more; what waits behind them continues, where a handler keeps\n" +
			"the order of its keys. Who did it and why is kept in the audit trail.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if b.why = string(reason); b.why == "" && !b.dryRun {
				return input.Usagef("`%s` needs --reason: it is kept in the audit trail", cmd.CommandPath())
			}
			if err := b.begin(cmd.Context(), storeOnly, ids); err != nil {
				return err
			}
			return b.run(cmd.Context(), b.admin.Discard)
		},
	}
	b.flags(cmd)
	cmd.Flags().Var(&reason, "reason", "why they are not needed; required")
	return cmd
}
