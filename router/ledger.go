package router

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// account is the ledger of one reaction, as its pipeline and its poison collector use it. A
// nil account is that of a handler that has none.
type account struct {
	handler string
	ledger  Ledger
	// begun is closed once the ledger has begun: what is handled before could not be settled.
	begun <-chan struct{}
}

// positionOf returns where the event of a message is in a log, if its producer is one.
func positionOf(meta message.Metadata) (at events.LogPosition, ok bool) {
	text := meta[events.MetaLogPosition]
	if text == "" {
		return at, false
	}
	p, err := strconv.ParseUint(meta[events.MetaLogPartition], 10, 16)
	n, err2 := strconv.ParseUint(text, 10, 64)
	id, _, _ := strings.Cut(meta[events.MetaLogEpoch], ".")
	return events.LogPosition{Log: id, Partition: int(p), Position: n}, err == nil && err2 == nil && n > 0 && id != ""
}

// locate returns where the event of a message is in a log; ok is false for a message that
// claims no place in one. It waits until the ledger has begun. Of events of another store's
// log the ledger says that they are not owed.
func (a *account) locate(ctx context.Context, meta message.Metadata) (at events.LogPosition, ok bool, err error) {
	if a == nil {
		return at, false, nil
	}
	if at, ok = positionOf(meta); !ok {
		return at, false, nil
	}
	select {
	case <-a.begun:
		return at, true, nil
	case <-ctx.Done():
		return at, false, ctx.Err()
	}
}

// locate finds out where the event of a message is in the log, for the stages that record
// what becomes of it. A message that is not from the log is deduplicated by its id.
func (c *consumer) locate(next stage) stage {
	if c.account == nil {
		return next
	}
	return func(ctx context.Context, d *delivery) result {
		var err error
		if d.at, d.owed, err = c.account.locate(d, d.msg.Metadata); err != nil {
			return abort(err)
		}
		return next(ctx, d)
	}
}

// place records where the event of a message is going to be, before it leaves this process
// unsettled. Without that record the auditor would take it for missing.
func (c *consumer) place(d *delivery, kind events.PlaceKind, until time.Time) error {
	if !d.owed {
		return nil
	}
	return c.account.ledger.SetPlace(context.WithoutCancel(d), c.account.handler, d.at, events.Place{Kind: kind, Until: until})
}

// beginLedgers begins the ledgers of all reactions, before any of their messages is handled.
// It returns false if ctx ended first.
func (r *Router) beginLedgers(ctx context.Context) bool {
	for _, p := range r.reactions {
		if !r.retry(ctx, func(ctx context.Context) error {
			_, err := r.beginLedger(ctx, p)
			return err
		}) {
			return false
		}
	}
	close(r.ledgersBegun)
	return true
}

// beginLedger begins the ledger of a reaction after what the relay has published, so that
// it owes everything that is published from now on; what was published before its queue was
// bound is found missing, and delivered.
func (r *Router) beginLedger(ctx context.Context, p *plan) ([]events.LedgerTerm, error) {
	after, err := r.relayed(ctx)
	if err != nil {
		return nil, err
	}
	if p.policy.From == Beginning {
		after = make(events.Cursor, len(after))
	}
	terms, err := r.config.Ledger.BeginLedger(ctx, p.name, events.LedgerTerm{After: after, Types: p.consumed()})
	if err != nil {
		return nil, err
	}
	r.config.Logger.DebugContext(ctx, "ledger", slog.String("handler", p.name), slog.Int("terms", len(terms)))
	return terms, nil
}

// account returns the ledger of a reaction; nil for other handlers, or without a ledger.
func (r *Router) account(p *plan) *account {
	if r.config.Ledger == nil || p.Kind() != KindReaction {
		return nil
	}
	return &account{handler: p.name, ledger: r.config.Ledger, begun: r.ledgersBegun}
}

// beforeAck returns what a subscriber waits for before it acknowledges messages: a message
// that is acknowledged, and not settled, would be taken for missing.
func (a *account) beforeAck() func(context.Context) error {
	if a == nil {
		return nil
	}
	return func(ctx context.Context) error { return a.ledger.SyncLedger(ctx, a.handler) }
}
