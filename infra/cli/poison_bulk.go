package cli

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/poisonstore"
	"github.com/pitwheel/pitwheel/router/poison"
)

const (
	// bulkBatch is how many letters are worked on together: what an interruption
	// may leave half done, which is done again then.
	bulkBatch = 64
	// bulkBytes bounds their bodies, since a single one may be of many megabytes.
	bulkBytes = 8 << 20
	// batchTimeout bounds the batch that is in hand when the command is interrupted.
	batchTimeout = 30 * time.Second
)

// bulk is a verb on many letters: those with the given ids, or all that the
// filters pick.
type bulk struct {
	c       *cli
	cmd     *cobra.Command
	verb    string // "Retry"
	done    string // "retried"
	picking picking
	all     bool
	yes     bool
	dryRun  bool
	why     string
	// pause is the time that each letter takes at least; 0: none.
	pause time.Duration

	client *client
	ids    []string
	filter poison.Filter
}

func (b *bulk) flags(c *cli, cmd *cobra.Command) {
	b.picking.flags(c, cmd)
	cmd.Flags().BoolVar(&b.all, "all", false, "all letters")
	cmd.Flags().BoolVar(&b.dryRun, "dry-run", false, "only show what would be done")
	cmd.Flags().BoolVarP(&b.yes, "yes", "y", false, "do not ask")
}

// begin finds out which letters are meant, and connects.
func (b *bulk) begin(ctx context.Context, commands bool, ids []string) error {
	var err error
	if b.filter, err = b.picking.filter(time.Now()); err != nil {
		return err
	}
	switch {
	case len(ids) > 0 && (b.all || b.picking.given()):
		return usagef("`%s` takes ids or filters, not both", b.cmd.CommandPath())
	case len(ids) == 0 && !b.all && !b.picking.given():
		return usagef("`%s` needs the ids of letters, a filter such as --handler, or --all", b.cmd.CommandPath())
	case b.all && b.picking.given():
		return usagef("`%s` takes --all or filters, not both", b.cmd.CommandPath())
	}
	slices.Sort(ids)
	b.ids = slices.Compact(ids)
	b.client, err = b.c.reach(ctx, commands)
	return err
}

// letters are those that are meant, without their bodies, the oldest failure first.
// An id that no letter has is an error of its own, and others follow.
func (b *bulk) letters(ctx context.Context) iter.Seq2[poison.Message, error] {
	if len(b.ids) == 0 {
		return b.client.store.PoisonMessages(ctx, b.filter, poisonstore.OldestFirst)
	}
	return func(yield func(poison.Message, error) bool) {
		for _, id := range b.ids {
			l, err := b.client.store.PoisonMessage(ctx, id)
			l.Body = nil
			if !yield(l, err) {
				return
			}
		}
	}
}

// count groups what is meant by handler and code, and tells of ids that no letter
// has. It bounds the filter by what is there now: what fails again while the work
// goes on is left for another time.
func (b *bulk) count(ctx context.Context) (*letterGroups, *tally, error) {
	groups, err := newLetterGroups([]string{"handler", "code"})
	if err != nil {
		return nil, nil, err
	}
	t := &tally{}
	var newest time.Time
	for l, err := range b.letters(ctx) {
		switch {
		case events.CodeOf(err) == events.CodeNotFound && len(b.ids) > 1:
			t.fail(err, 1)
		case err != nil:
			return nil, nil, err
		default:
			groups.add(l)
			newest = l.LastFailedAt // The oldest come first.
		}
	}
	b.filter.Before = newest.Add(time.Millisecond)
	t.Matched = groups.total() + t.Failed
	return groups, t, nil
}

// run does the work on all letters that are meant, in batches. Letters that were
// named one by one need no question.
func (b *bulk) run(ctx context.Context, work func(context.Context, []poison.Message, *tally) error) error {
	groups, seen, err := b.count(ctx)
	if err != nil {
		return err
	}
	if b.dryRun {
		return cmp.Or(groups.print(b.c.printer()), b.report(seen))
	}
	t := &tally{Matched: groups.total()}
	if t.Matched > 0 && len(b.ids) == 0 && !b.yes {
		if err := groups.print(printer{out: b.c.stderr}); err != nil {
			return err
		}
		ok, err := b.c.confirm(ctx, b.cmd, fmt.Sprintf("%s %d letters?", b.verb, t.Matched))
		if err != nil || !ok {
			return err
		}
	}
	err = b.loop(ctx, t, work)
	return b.end(ctx, t, err)
}

func (b *bulk) loop(ctx context.Context, t *tally, work func(context.Context, []poison.Message, *tally) error) error {
	progress := newBar(b.c.stderr, b.done, t.Matched)
	defer progress.close()
	size := bulkBatch
	if b.pause > 0 {
		size = int(min(bulkBatch, max(1, 100*time.Millisecond/b.pause)))
	}
	began, worked, bytes := time.Now(), 0, 0
	var batch []poison.Message
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		// A batch in hand is finished, so that an interruption leaves nothing half done.
		finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTimeout)
		defer cancel()
		err := work(finishing, batch, t)
		progress.add(len(batch))
		worked += len(batch)
		batch, bytes = batch[:0], 0
		if err != nil {
			return err
		}
		return waitUntil(ctx, began.Add(time.Duration(worked)*b.pause))
	}
	for l, err := range b.letters(ctx) {
		if err != nil {
			if events.CodeOf(err) != events.CodeNotFound || len(b.ids) < 2 {
				return err
			}
			t.fail(err, 1)
			t.Matched++
			continue
		}
		if len(batch) == size || len(batch) > 0 && bytes+l.Size > bulkBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, bytes = append(batch, l), bytes+l.Size
	}
	return flush()
}

// waitUntil returns at a time, or with an error when ctx ends.
func waitUntil(ctx context.Context, at time.Time) error {
	if left := time.Until(at); left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// end prints what became of it.
func (b *bulk) end(ctx context.Context, t *tally, err error) error {
	if ctx.Err() != nil {
		_ = printOne(b.c.printer(), t) // The interruption is what is told.
		return events.Errorf(codeInterrupted, "interrupted: %d of %d letters are %s", t.Done+t.FailedAgain, t.Matched, b.done).
			WithHint("go on with `%s`", b.again())
	}
	if err != nil {
		if t.Done+t.FailedAgain == 0 {
			return err
		}
		_ = printOne(b.c.printer(), t)
		return events.Errorf(codePartly, "%d of %d letters are %s, then: %w", t.Done+t.FailedAgain, t.Matched, b.done, err).MayRetry().
			WithHint("go on with `%s`", b.again())
	}
	if t.Failed > 0 && t.Failed == t.Matched && len(t.problems) == 1 {
		return t.problems[0]
	}
	return cmp.Or(printOne(b.c.printer(), t), b.report(t))
}
