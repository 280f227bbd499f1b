package audit

import (
	"context"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// books are the accounts of all handlers, and how far the log was read.
type books struct {
	*Auditor
	accounts []*account
	cursor   events.Cursor
	// relayed are the relay's cursors of late, the oldest first.
	relayed []relayedAt
}

type relayedAt struct {
	at     time.Time
	cursor events.Cursor
}

// balance looks at every account once.
func (b *books) balance(ctx context.Context) error {
	now := time.Now()
	relayed, err := b.Relayed(ctx)
	if err != nil {
		return err
	}
	end, err := b.end(ctx)
	if err != nil {
		return err
	}
	if end.Behind(b.cursor) > 0 {
		return events.Errorf(events.CodeCursorMoved, "the log ends before what was audited") // It was lost, or is another one.
	}
	b.relayed = append(b.relayed, relayedAt{now, relayed.Clone(len(b.cursor))})
	for len(b.relayed) > 1 && now.Sub(b.relayed[1].at) >= b.Grace {
		b.relayed = b.relayed[1:]
	}
	for _, a := range b.accounts {
		if err := b.balanceAccount(ctx, a, now); err != nil {
			return err
		}
	}
	return nil
}

// due returns the cursor up to which events were published so long ago that they are looked
// for; ok is false if none were.
func (b *books) due(now time.Time) (due events.Cursor, ok bool) {
	first := b.relayed[0]
	return first.cursor, now.Sub(first.at) >= b.Grace
}

func (b *books) balanceAccount(ctx context.Context, a *account, now time.Time) error {
	answered, err := b.Ledger.LedgerRound(ctx, a.Name)
	if err != nil {
		return err
	}
	open, err := a.open(ctx, b.Ledger)
	if err != nil {
		return err
	}
	if err := b.advance(ctx, a, open); err != nil {
		return err
	}
	places := map[events.LogPosition]events.Place{}
	if open.n > 0 {
		if places, err = b.Ledger.LedgerPlaces(ctx, a.Name); err != nil {
			return err
		}
	}
	s := sorted{open: open, places: places}
	if err := b.verify(ctx, a, &s, now); err != nil {
		return err
	}
	if err := b.search(ctx, a, &s, answered, now); err != nil {
		return err
	}
	return b.report(ctx, a, &s, now)
}

// advance stores how far the account was audited, and moves the watermark to before the first
// open event of each partition.
//
// Neither goes beyond what the relay has published, and nothing is stored if the handler owes
// other types by now: a new term begins behind what is published, and its events must
// neither be below the watermark, where all is settled, nor be left out of the count.
func (b *books) advance(ctx context.Context, a *account, open openSet) error {
	published := b.relayed[len(b.relayed)-1].cursor
	watermark := b.cursor.Clone(0)
	for p := range watermark {
		watermark[p] = min(watermark[p], published.At(p))
		if first := open.first[p]; first > 0 {
			watermark[p] = min(watermark[p], first-1)
		}
		watermark[p] = max(watermark[p], a.state.Watermark[p])
	}
	audited := b.cursor.Clone(0)
	for p := range audited {
		audited[p] = max(min(audited[p], published.At(p)), a.state.Audited[p])
	}
	if a.state.Audited.Behind(audited) > 0 || a.state.Watermark.Behind(watermark) > 0 {
		counted := a.count(a.state.Audited, audited)
		err := b.Ledger.AdvanceLedger(ctx, a.Name, events.LedgerAdvance{
			From: a.state.Audited, FromWatermark: a.state.Watermark, FromTerms: len(a.state.Terms),
			Audited: audited, Watermark: watermark, Events: counted,
		})
		if err != nil {
			return err
		}
		a.state.Events += counted
		a.state.Audited, a.state.Watermark = audited, watermark
		a.forget()
	}
	return nil
}

// report stores what was found.
func (b *books) report(ctx context.Context, a *account, s *sorted, now time.Time) error {
	state, err := b.Ledger.LedgerState(ctx, a.Name)
	if err != nil {
		return err
	}
	if len(state.Terms) == 0 {
		return events.Errorf(events.CodeCursorMoved, "the ledger of %s is gone", a.Name)
	}
	if state.Events != a.state.Events {
		return events.Errorf(events.CodeCursorMoved, "the ledger of %s was joined with another one", a.Name)
	}
	if len(state.Terms) != len(a.state.Terms) {
		return events.Errorf(events.CodeCursorMoved, "%s reacts to other types by now", a.Name)
	}
	a.state.Handled, a.state.Discarded = state.Handled, state.Discarded
	r := s.report(a, b.cursor)
	r.At, r.Healed = now, a.round.healed
	if r.OldestSeconds, err = b.oldest(ctx, s.open, now); err != nil {
		return err
	}
	return b.Ledger.SaveLedgerReport(ctx, r)
}

// oldest returns the age in seconds of the oldest open event, by its own time.
func (b *books) oldest(ctx context.Context, open openSet, now time.Time) (float64, error) {
	var age time.Duration
	for p, first := range open.first {
		e, err := b.read(ctx, p, first, 1)
		if err != nil {
			return 0, err
		}
		if len(e) > 0 {
			age = max(age, now.Sub(e[0].Timestamp))
		}
	}
	return max(age, 0).Seconds(), nil
}

// read returns up to n events of one partition from a position on.
func (b *books) read(ctx context.Context, partition int, from uint64, n int) ([]events.Recorded, error) {
	after := make(events.Cursor, b.Reader.Partitions())
	for p := range after {
		after[p] = events.Nowhere
	}
	after[partition] = from - 1
	return b.Reader.Read(ctx, after, n, 0)
}

// sorted is the open events of a handler by where they are.
type sorted struct {
	open   openSet
	places map[events.LogPosition]events.Place
	// missing is how many are certainly missing, though not known which ones.
	missing uint64
}

// report returns what the books say of the log up to a cursor.
func (s *sorted) report(a *account, upTo events.Cursor) events.LedgerReport {
	r := events.LedgerReport{Handler: a.Name, Events: a.state.Events + a.count(a.state.Audited, upTo), Discarded: a.state.Discarded, Missing: s.missing}
	for at, p := range s.places {
		if !s.open.has(at) {
			continue
		}
		switch p.Kind {
		case events.PlacePoison:
			r.Poison++
		case events.PlaceParked:
			r.Parked++
		case events.PlaceMissing:
			r.Missing++
		case events.PlaceDelayed, events.PlaceQueued:
		}
	}
	away := r.Poison + r.Parked + r.Missing
	r.Waiting = s.open.n - min(away, s.open.n)
	r.Handled = r.Events - min(r.Events, s.open.n+r.Discarded)
	return r
}
