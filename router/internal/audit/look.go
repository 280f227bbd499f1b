package audit

import (
	"context"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// Look is one look at the books of a handler.
type Look struct {
	Report events.LedgerReport
	// Open are events that are not settled: at most as many as were asked for.
	Open []Open
}

// Open is an event that is not settled.
type Open struct {
	Event events.Recorded
	// Kind is its place; "" if it is in the queue, in the hands of an instance, or not
	// published yet.
	Kind events.PlaceKind
	// Unpublished reports that the relay has not published it yet.
	Unpublished bool
}

// Look balances the books of a handler once, as they are now, and changes nothing. It
// returns up to list open events, or only missing ones. Missing are those that an auditor has
// found; and where no instance consumes, those that the queue lacks. An error has the code
// NOT_FOUND if the handler's ledger has not begun.
func (a *Auditor) Look(ctx context.Context, h Handler, list int, onlyMissing bool) (Look, error) {
	state, err := a.Ledger.LedgerState(ctx, h.Name)
	if err != nil {
		return Look{}, err
	}
	if len(state.Terms) == 0 {
		return Look{}, events.Errorf(events.CodeNotFound, "the ledger of %s has not begun: no service has run this handler on this store", h.Name)
	}
	acct, err := a.account(ctx, h)
	if err != nil {
		return Look{}, err
	}
	b := &books{Auditor: a, cursor: acct.state.Watermark.Clone(0)}
	relayed, err := a.Relayed(ctx) // Before the end is read: what is published later is not looked for.
	if err != nil {
		return Look{}, err
	}
	answered, err := a.Ledger.LedgerRound(ctx, h.Name)
	if err != nil {
		return Look{}, err
	}
	depth, _, err := a.Transport.QueueDepth(ctx, h.Topic, h.Queue)
	if err != nil {
		return Look{}, err
	}
	left, err := a.Transport.Unacknowledged(ctx, h.Topic, h.Queue)
	if err != nil {
		return Look{}, err
	}
	depth = max(depth, 0) + left
	if err := b.readToEnd(ctx, acct); err != nil {
		return Look{}, err
	}
	s := sorted{cursor: b.cursor}
	if s.open, err = acct.open(ctx, a.Ledger); err != nil {
		return Look{}, err
	}
	if s.places, err = a.Ledger.LedgerPlaces(ctx, h.Name); err != nil {
		return Look{}, err
	}
	now := time.Now()
	lost := s.unexplained(relayed, now.Add(-a.Skew))
	idle := len(answered.Instances) == 0
	if idle {
		s.missing = lost.n - min(lost.n, uint64(max(depth, 0))) //nolint:gosec // It is not negative.
		for at, p := range s.places {                           // They are among the lost ones.
			if p.Kind == events.PlaceMissing && lost.has(at) {
				delete(s.places, at)
			}
		}
	}
	out := Look{Report: s.report(acct)}
	out.Report.At, out.Report.Healed = now, acct.round.healed
	if out.Report.OldestSeconds, err = b.oldest(ctx, s.open, now); err != nil {
		return Look{}, err
	}
	for at := range s.open.all {
		if len(out.Open) >= list {
			break
		}
		o := Open{Kind: s.places[at].Kind, Unpublished: at.Position > relayed.At(at.Partition)}
		if idle && s.missing == lost.n && lost.has(at) { // Otherwise it is not known which ones.
			o.Kind = events.PlaceMissing
		}
		if onlyMissing && o.Kind != events.PlaceMissing {
			continue
		}
		e, err := b.read(ctx, at.Partition, at.Position, 1)
		if err != nil {
			return Look{}, err
		}
		if len(e) > 0 && e[0].Position == at.Position {
			o.Event = e[0]
			out.Open = append(out.Open, o)
		}
	}
	return out, nil
}

// readToEnd adds what the log has up to its end now.
func (b *books) readToEnd(ctx context.Context, a *account) error {
	end, err := b.end(ctx)
	if err != nil {
		return err
	}
	for b.cursor.Behind(end) > 0 {
		batch, err := b.Reader.Read(ctx, b.cursor, readLimit, 0)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			return nil // What the end has counted is gone, or cannot be read.
		}
		for i := range batch {
			a.add(&batch[i])
		}
		for i := range batch {
			b.cursor[batch[i].Partition] = batch[i].Position
		}
	}
	return nil
}
