package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// retryAndFollow retries messages and waits for what becomes of them.
func (b *bulk) retryAndFollow(ctx context.Context, p poison.Plan, o poison.Options) (poison.Tally, error) {
	var retried []poison.Message
	o.Retried = func(messages []poison.Message) { retried = append(retried, messages...) }
	t, err := b.admin.Retry(ctx, p, o)
	b.noteQueues(ctx, retried)
	if err != nil {
		return t, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	return b.admin.Follow(ctx, t, retried, b.handled)
}

// retry retries messages, and finds out whether anybody receives them.
func (b *bulk) retry(ctx context.Context, p poison.Plan, o poison.Options) (poison.Tally, error) {
	var retried []poison.Message
	o.Retried = func(messages []poison.Message) { retried = append(retried, messages...) }
	t, err := b.admin.Retry(ctx, p, o)
	b.noteQueues(ctx, retried)
	return t, err
}

// noteQueues notes which of the queues that messages were published into nobody consumes.
func (b *bulk) noteQueues(ctx context.Context, retried []poison.Message) {
	type queue struct{ handler, name string }
	counts := map[queue]int{}
	for _, m := range retried {
		counts[queue{m.Handler, m.Queue}]++
	}
	recorded, err := b.client.Store.DeclaredHandlers(ctx)
	if err != nil {
		return // What was done is more important than what is known about it.
	}
	for q, n := range counts {
		why, waits := whyNotConsumed(recorded, q.handler, q.name)
		text := fmt.Sprintf("%d published to queue %s, which nobody consumes: %s", n, q.name, why)
		switch {
		case why == "":
		case waits: // As an operator may want it, before the handler is resumed.
			_, _ = fmt.Fprintln(b.c.stderr, text)
		default:
			b.unconsumed = append(b.unconsumed, text)
		}
	}
	slices.Sort(b.unconsumed)
}

// handled reports which messages were processed: events are settled in the ledger, foreign
// ones are in the inbox, and commands have an outcome.
func (b *bulk) handled(ctx context.Context, messages []poison.Message) ([]bool, error) {
	done := make([]bool, len(messages))
	var commands []int // indexes in messages
	var receipts []events.Receipt
	ledger := router.NewPoisonLedger(b.client.Store)
	group, ctx := errgroup.WithContext(ctx) // Lookups at the same time share round trips.
	for i, m := range messages {
		if m.Kind != string(router.KindCommand) {
			group.Go(func() (err error) {
				if done[i], err = ledger.Settled(ctx, m.Handler, m.Metadata); err == nil && !done[i] {
					done[i], err = b.client.Store.Seen(ctx, m.Handler, poison.InboxID(m.MessageID, m.Metadata))
				}
				return err
			})
		} else if t, ok := b.c.Catalogue.Lookup(m.Type); ok {
			// A command without an aggregate's id gets one that is derived from its own.
			id := cmp.Or(m.Key, events.DeriveID("aggregate", t.Aggregate, m.MessageID))
			commands = append(commands, i)
			receipts = append(receipts, events.Receipt{Aggregate: t.Aggregate, AggregateID: id, CommandID: m.MessageID})
		}
	}
	group.Go(func() error {
		outcomes, err := b.client.Store.Outcomes(ctx, receipts)
		for n, o := range outcomes {
			done[commands[n]] = o.Status != ""
		}
		return err
	})
	return done, group.Wait()
}

// reportFollowed returns the error that the fates of retried messages add up to. Where
// nobody has waited for them, it says so.
func (b *bulk) reportFollowed(t poison.Tally) error {
	switch {
	case len(b.unconsumed) > 0:
		return events.Errorf(codePartly, "%s", strings.Join(b.unconsumed, "\n")).
			WithHint("they wait there: `%[1]s handler list` shows which handlers run, are paused or left behind, and `%[1]s handler rename` moves what waits", program())
	case t.Followed == nil:
		if b.retries && !b.dryRun && t.Done > 0 && b.c.format == output.Table {
			_, _ = fmt.Fprintf(b.c.stderr, "given back to their handlers: %d; `%s poison list` shows what fails again, and --wait waits for it\n", t.Done, program())
		}
	case t.FailedAgain > 0:
		return events.Errorf(codePartly, "%d of %d poison messages have failed again and are kept", t.FailedAgain, t.Matched).
			WithHint("`%s poison list` shows them", program())
	case t.Unknown > 0:
		return events.Errorf(events.CodeTimeout, "%d of %d poison messages have neither been handled nor failed again within %s, as far as can be seen", t.Unknown, t.Matched, b.timeout).MayRetry().
			WithHint("`%s handler list` shows whether their handlers are paused, and `%s poison list` what fails again", program(), program())
	}
	return nil
}
