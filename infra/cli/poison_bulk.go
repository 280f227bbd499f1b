package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// bulk is a command on many poison messages: those with the given ids, or all that the
// filters select.
type bulk struct {
	c    *cli
	cmd  *cobra.Command
	verb string // "Retry"
	done string // "retried"
	// retries reports whether messages go back to their handlers.
	retries bool
	filter  poisonFilter
	all     bool
	yes     bool
	dryRun  bool
	why     string
	// interval is the least time that each message takes.
	interval time.Duration
	// timeout bounds the wait for what becomes of retried messages.
	timeout time.Duration

	// unconsumed says what was published into queues that nobody consumes.
	unconsumed []string

	client    *client
	admin     *poison.Admin
	selection poison.Selection
}

// flags makes cmd the command, with the flags that select messages.
func (b *bulk) flags(cmd *cobra.Command) {
	b.cmd = cmd
	b.filter.flags(b.c, cmd)
	cmd.Flags().BoolVar(&b.all, "all", false, "all poison messages")
	cmd.Flags().BoolVar(&b.dryRun, "dry-run", false, "only show what would be done")
	cmd.Flags().BoolVarP(&b.yes, "yes", "y", false, "do not ask")
}

// begin finds out which messages are meant, and connects.
func (b *bulk) begin(ctx context.Context, queues bool, ids []string) error {
	filter, err := b.filter.filter(time.Now())
	if err != nil {
		return err
	}
	filtered := selects(filter)
	switch {
	case len(ids) > 0 && (b.all || filtered):
		return input.Usagef("`%s` takes ids or filters, not both", b.cmd.CommandPath())
	case len(ids) == 0 && !b.all && !filtered:
		return input.Usagef("`%s` needs the ids of poison messages, a filter such as --handler, or --all", b.cmd.CommandPath())
	case b.all && filtered:
		return input.Usagef("`%s` takes --all or filters, not both", b.cmd.CommandPath())
	}
	b.selection = poison.Selection{IDs: ids, Filter: filter}
	if b.client, err = b.c.reach(ctx, queues); err != nil {
		return err
	}
	b.admin, err = b.c.poisonAdminOf(b.client)
	return err
}

// run does the work on all messages that are meant. Those that were named one by one need
// no question.
func (b *bulk) run(ctx context.Context, work func(context.Context, poison.Plan, poison.Options) (poison.Tally, error)) error {
	plan, err := b.admin.Plan(ctx, b.selection)
	if err != nil {
		return explainMissing(err)
	}
	if len(b.selection.IDs) == 0 {
		b.c.noteUnmatched(b.selection.Filter, plan.Tally.Matched, plan.Groups)
	}
	groupedBy := []string{"handler", "code"}
	if b.dryRun {
		return cmp.Or(printGroups(b.c.printer(), plan.Groups, groupedBy), b.report(plan.Tally))
	}
	if plan.Tally.Matched > 0 && len(b.selection.IDs) == 0 && !b.yes {
		if err := printGroups(output.Printer{Out: b.c.stderr}, plan.Groups, groupedBy); err != nil {
			return err
		}
		ok, err := b.c.confirm(ctx, b.cmd, fmt.Sprintf("%s %d poison messages?", b.verb, plan.Tally.Matched))
		if err != nil || !ok {
			return err
		}
	}
	progress := output.NewBar(b.c.stderr, b.done, plan.Tally.Matched-plan.Tally.Failed)
	t, err := work(ctx, plan, poison.Options{Who: b.c.who(), Why: b.why, Interval: b.interval, Progress: progress.Add})
	progress.Close()
	return b.end(ctx, t, err)
}

// end prints what became of the messages.
func (b *bulk) end(ctx context.Context, t poison.Tally, err error) error {
	worked := t.Done + t.FailedAgain
	if ctx.Err() != nil {
		_ = output.One(b.c.printer(), t) // The interruption is what is reported.
		return events.Errorf(codeInterrupted, "interrupted: %d of %d poison messages are %s", worked, t.Matched, b.done).
			WithHint("go on with `%s`", b.again())
	}
	if err != nil {
		if worked == 0 {
			return err
		}
		_ = output.One(b.c.printer(), t)
		return events.Errorf(codePartly, "%d of %d poison messages are %s, then: %w", worked, t.Matched, b.done, err).MayRetry().
			WithHint("go on with `%s`", b.again())
	}
	if t.Failed > 0 && t.Failed == t.Matched && len(t.Problems) == 1 {
		p := t.Problems[0]
		if p.First.Kind == string(router.KindProjection) && events.CodeOf(p.Err) == events.CodeInvalid {
			return asError(p.Err).WithHint("correct the projection, then `%s projection rebuild %s`, and discard its poison messages", program(), p.First.Handler)
		}
		return explainMissing(p.Err)
	}
	return cmp.Or(output.One(b.c.printer(), t), b.report(t))
}

// report prints the problems of single messages on stderr and returns the error that they
// add up to.
func (b *bulk) report(t poison.Tally) error {
	for i, p := range t.Problems {
		if i == 10 {
			_, _ = fmt.Fprintf(b.c.stderr, "… and %d more problems\n", len(t.Problems)-i)
			break
		}
		_, _ = fmt.Fprintf(b.c.stderr, "%d × %s\n", p.Count, p.Err)
	}
	switch {
	case t.Failed > 0 && t.Failed == t.Matched:
		return events.Errorf(events.CodeOf(t.Problems[0].Err), "none of %d poison messages could be %s; they are kept", t.Matched, b.done)
	case t.Failed > 0:
		return events.Errorf(codePartly, "%d of %d poison messages could not be %s and are kept", t.Failed, t.Matched, b.done)
	}
	return b.reportFollowed(t)
}

// again returns the command line that continues with what is left.
func (b *bulk) again() string {
	_, path, _ := strings.Cut(b.cmd.CommandPath(), " ")
	parts := []string{program(), path}
	b.cmd.Flags().Visit(func(f *pflag.Flag) {
		switch v, many := f.Value.(pflag.SliceValue); {
		case strings.HasSuffix(f.Name, "-url"):
			parts = append(parts, "--"+f.Name+"=…") // It may hold a password.
		case f.Value.Type() == "bool" && f.Value.String() == "true":
			parts = append(parts, "--"+f.Name)
		case many:
			for _, one := range v.GetSlice() {
				parts = append(parts, "--"+f.Name+"="+shellWord(one))
			}
		default:
			parts = append(parts, "--"+f.Name+"="+shellWord(f.Value.String()))
		}
	})
	return strings.Join(append(parts, b.selection.IDs...), " ")
}
