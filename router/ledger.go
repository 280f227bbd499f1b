package router

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// account is the ledger of one reaction, as its pipeline and its poison collector use it. A
// nil account is that of a handler that has none.
type account struct {
	handler string
	ledger  Ledger
	// begin begins the ledger, if the store's log has none, and returns its terms; log is the
	// id of that log.
	begin func(ctx context.Context) (terms []events.LedgerTerm, log string, err error)
	mu    sync.Mutex
	log   string // that the terms are of
	terms []events.LedgerTerm
	asked time.Time
	// begun is closed once the ledger has begun: what is handled before could not be settled.
	begun <-chan struct{}
}

// logOf returns the id of the log in one of its epochs.
func logOf(epoch string) string {
	id, _, _ := strings.Cut(epoch, ".")
	return id
}

// positionOf returns where the event of a message is in a log, if its producer is one.
func positionOf(meta message.Metadata) (at events.LogPosition, ok bool) {
	text := meta[events.MetaLogPosition]
	if text == "" {
		return at, false
	}
	p, err := strconv.ParseUint(meta[events.MetaLogPartition], 10, 16)
	n, err2 := strconv.ParseUint(text, 10, 64)
	id := logOf(meta[events.MetaLogEpoch])
	return events.LogPosition{Log: id, Partition: int(p), Position: n}, err == nil && err2 == nil && n > 0 && id != ""
}

// askEvery bounds how often the terms of a log are asked for that the store may not have.
const askEvery = time.Second

// owes reports whether the handler owes an event of the given type an answer: not if it is of
// another log, or from before its ledger, nor if another build has wanted other types there.
func (a *account) owes(ctx context.Context, at events.LogPosition, kind string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	owed := func() bool { return a.log == at.Log && events.Owed(a.terms, at, kind) }
	if !owed() && time.Since(a.asked) >= askEvery { // Rename a handler, and it owes more than before.
		terms, log, err := a.begin(ctx)
		if err != nil {
			return false, err
		}
		a.terms, a.log, a.asked = terms, log, time.Now()
	}
	return owed(), nil
}

// locate returns where the event of a message is in the log; ok is false for a message that
// the handler does not owe an answer. It waits until the ledger has begun.
func (a *account) locate(ctx context.Context, meta message.Metadata) (at events.LogPosition, ok bool, err error) {
	if a == nil {
		return at, false, nil
	}
	if at, ok = positionOf(meta); !ok {
		return at, false, nil
	}
	select {
	case <-a.begun:
		ok, err = a.owes(ctx, at, meta[events.MetaType])
		return at, ok, err
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
			// The queue first: what was published before it was bound is not owed. One that
			// cannot be declared owes what it misses until that is mended.
			if err := r.declareAgain(ctx, p.name); err != nil && events.CodeOf(err) != events.CodeConfig {
				return err
			}
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
// it owes everything that is published from now on.
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
	return &account{handler: p.name, ledger: r.config.Ledger, begun: r.ledgersBegun, begin: func(ctx context.Context) ([]events.LedgerTerm, string, error) {
		epoch, err := r.config.Reader.Epoch(ctx) // Before the terms: those of a later log do no harm.
		if err != nil {
			return nil, "", err
		}
		terms, err := r.beginLedger(ctx, p)
		return terms, logOf(epoch), err
	}}
}

// beforeAck returns what a subscriber waits for before it acknowledges messages: a message
// that is acknowledged, and not settled, would be taken for missing.
func (a *account) beforeAck() func(context.Context) error {
	if a == nil {
		return nil
	}
	return func(ctx context.Context) error { return a.ledger.SyncLedger(ctx, a.handler) }
}
