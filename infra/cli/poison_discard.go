package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/poisonstore"
	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poisonDiscard() *cobra.Command {
	b := &bulk{c: c, verb: "Discard", done: "discarded"}
	var reason filledText
	cmd := &cobra.Command{
		Use:   "discard [ID…] --reason TEXT",
		Short: "Remove letters for good",
		Long: "Remove letters that nobody needs any more; what waits behind their messages goes on, where a handler keeps\n" +
			"the order of its keys. Who did it and why is kept in the audit trail.",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if b.why = string(reason); b.why == "" && !b.dryRun {
				return usagef("`%s` needs --reason: it is kept in the audit trail", cmd.CommandPath())
			}
			if err := b.begin(cmd.Context(), storeOnly, ids); err != nil {
				return err
			}
			defer b.client.Close()
			d := &discarder{releaser{bulk: b}}
			defer d.close()
			return b.run(cmd.Context(), d.discard)
		},
	}
	b.cmd = cmd
	b.flags(c, cmd)
	cmd.Flags().Var(&reason, "reason", "why they are not needed; required")
	return cmd
}

// discarder removes letters for good.
type discarder struct{ releaser }

func (b *discarder) discard(ctx context.Context, letters []poison.Message, t *tally) error {
	if err := b.release(ctx, letters); err != nil {
		return err
	}
	removals, err := b.client.store.RemovePoison(ctx, poison.Change{Action: poison.Discarded, Who: b.c.who(), Why: b.why}, letters...)
	again := 0
	for _, is := range removals {
		if is == poisonstore.Changed {
			again++
		}
	}
	t.Done += len(removals) - again
	if again > 0 {
		t.fail(events.Errorf(events.CodeConflict, "the message has failed again meanwhile, so its letter is kept"), again)
	}
	return err
}
