package cli

import (
	"github.com/spf13/cobra"
)

func (c *cli) poisonDiscard() *cobra.Command {
	b := &bulk{c: c, verb: "Discard", done: "discarded"}
	var reason filledText
	cmd := &cobra.Command{
		Use:   "discard [ID…] --reason TEXT",
		Short: "Remove poison messages permanently",
		Long: "Remove poison messages that nobody needs any more; what waits behind them continues, where a handler keeps\n" +
			"the order of its keys. Who did it and why is kept in the audit trail.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if b.why = string(reason); b.why == "" && !b.dryRun {
				return usagef("`%s` needs --reason: it is kept in the audit trail", cmd.CommandPath())
			}
			if err := b.begin(cmd.Context(), storeOnly, ids); err != nil {
				return err
			}
			defer b.admin.Close()
			return b.run(cmd.Context(), b.admin.Discard)
		},
	}
	b.cmd = cmd
	b.flags(c, cmd)
	cmd.Flags().Var(&reason, "reason", "why they are not needed; required")
	return cmd
}
