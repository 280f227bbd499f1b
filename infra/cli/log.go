package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
)

// gapView is how a gap of the log is printed.
type gapView struct {
	Partition int `json:"partition"`
	// LogEnd is where the partition ended when the loss was found, and Witnessed the last
	// position known to have been in use.
	LogEnd     uint64    `json:"log_end"`
	Witnessed  uint64    `json:"witnessed"`
	EventsGone uint64    `json:"events_gone"`
	Since      time.Time `json:"since"`
	Accepted   bool      `json:"accepted"`
}

// log has the commands about the log itself.
func (c *cli) log() *cobra.Command {
	var accept, yes bool
	cmd := &cobra.Command{
		Use: "recover", Args: input.None,
		Short: "Show what the log has lost because Redis was put back, and accept that",
		Long: "Show what the log has lost because Redis was put back to an earlier state, by a failover, a crash or from a backup:\n" +
			"for each partition the positions that are gone, which its witness outside of Redis knows to have been in use.\n\n" +
			"The log has gone on by itself: the next event of the partition follows the gap, and aggregates skip as many versions\n" +
			"as events are gone, so that no position and no version is used for two events. /readyz and an alert\n" +
			"show the loss until it is accepted.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.recoverLog(cmd.Context(), cmd, accept, yes) },
	}
	cmd.Flags().BoolVar(&accept, "accept", false, "accept that these events are gone, which ends the alert")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return input.Group("log", "What the log has lost", cmd)
}

func (c *cli) recoverLog(ctx context.Context, cmd *cobra.Command, accept, yes bool) error {
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return err
	}
	gaps, err := client.Store.Gaps(ctx)
	if err != nil {
		return err
	}
	var open int
	var lost uint64
	for _, g := range gaps {
		if !g.Accepted {
			open, lost = open+1, lost+g.Lost()
		}
	}
	if accept && open > 0 {
		if !yes {
			if err := printGaps(output.Printer{Out: c.stderr}, gaps); err != nil {
				return err
			}
			ok, err := c.confirm(ctx, cmd, fmt.Sprintf("Accept that %d events are gone?", lost))
			if err != nil && ctx.Err() == nil {
				return asError(err).WithHint("add -y to say yes, or leave out --accept to only look")
			}
			if err != nil || !ok {
				return err
			}
		}
		for i := range gaps {
			if err := client.Store.AcceptGap(ctx, gaps[i]); err != nil {
				return err
			}
			gaps[i].Accepted = true
		}
	}
	if len(gaps) == 0 && c.format == output.Table {
		_, _ = fmt.Fprintln(c.stderr, "the log has lost nothing that its witness knows of")
	}
	if err := printGaps(c.printer(), gaps); err != nil || accept || open == 0 {
		return err
	}
	return events.Errorf(codePartly, "%d events are gone from the log, and nobody has accepted that", lost).
		WithHint("restore them from a later backup of Redis, if there is one, or accept the loss with `%s log recover --accept`", program())
}

func printGaps(p output.Printer, gaps []events.LogGap) error {
	views := make([]gapView, len(gaps))
	for i, g := range gaps {
		views[i] = gapView{g.Partition, g.End, g.Witnessed, g.Lost(), g.Since, g.Accepted}
	}
	return output.List(p, views, output.Columns[gapView]{
		Heads: []string{"partition", "log end", "witnessed", "events gone", "since", "accepted"},
		Row: func(g gapView) []any {
			return []any{g.Partition, g.LogEnd, g.Witnessed, g.EventsGone, g.Since.Format(events.TimeLayout), g.Accepted}
		},
		Key: func(g gapView) string { return fmt.Sprint(g.Partition) },
	})
}
