package audit

import (
	"context"
	"log/slog"
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
	if err := b.advance(ctx, a, open, b.relayed[len(b.relayed)-1].cursor); err != nil {
		return err
	}
	places := map[events.LogPosition]events.Place{}
	if open.n > 0 {
		if places, err = b.Ledger.LedgerPlaces(ctx, a.Name); err != nil {
			return err
		}
	}
	s := sorted{open: open, places: places, cursor: b.cursor}
	if err := b.verify(ctx, a, &s, now); err != nil {
		return err
	}
	if err := b.search(ctx, a, &s, answered, now); err != nil {
		return err
	}
	return b.report(ctx, a, &s, now)
}

// advance stores how far the account was audited, and moves the watermark to before the first
// open event of each partition. Neither passes the relay: a later build may react to other
// types, of which it owes what is published from then on.
func (b *books) advance(ctx context.Context, a *account, open openSet, relayed events.Cursor) error {
	watermark, audited := b.cursor.Clone(0), b.cursor.Clone(0)
	for p := range b.cursor {
		audited[p] = max(min(audited[p], relayed.At(p)), a.state.Audited[p])
		watermark[p] = audited[p]
		if first := open.first[p]; first > 0 {
			watermark[p] = min(watermark[p], first-1)
		}
		watermark[p] = max(watermark[p], a.state.Watermark[p])
	}
	if a.state.Audited.Behind(audited) == 0 && a.state.Watermark.Behind(watermark) == 0 {
		return nil
	}
	n := a.owedBetween(a.state.Audited, audited)
	err := b.Ledger.AdvanceLedger(ctx, a.Name, events.LedgerAdvance{
		From: a.state.Audited, FromWatermark: a.state.Watermark, Terms: len(a.state.Terms), Audited: audited, Watermark: watermark, Events: n,
	})
	if err != nil {
		return err
	}
	a.state.Events += n
	a.state.Audited, a.state.Watermark = audited, watermark
	a.forget()
	return nil
}

// report stores what was found.
func (b *books) report(ctx context.Context, a *account, s *sorted, now time.Time) error {
	state, err := b.Ledger.LedgerState(ctx, a.Name)
	if err != nil {
		return err
	}
	if len(state.Terms) != len(a.state.Terms) {
		return events.Errorf(events.CodeCursorMoved, "the ledger of %s is gone, or has another term", a.Name)
	}
	if state.Events != a.state.Events {
		return events.Errorf(events.CodeCursorMoved, "the ledger of %s was joined with another one", a.Name)
	}
	a.state.Handled, a.state.Discarded = state.Handled, state.Discarded
	r := s.report(a)
	b.compare(ctx, a, r)
	r.At, r.Healed = now, a.round.healed
	if r.OldestSeconds, err = b.oldest(ctx, s.open, now); err != nil {
		return err
	}
	return b.Ledger.SaveLedgerReport(ctx, r)
}

// compare compares the two ways to know how many events are settled: counted when their bits
// were set, and what the log has and the bits do not leave open. The count includes what was
// settled since the bits were read, so it may only be greater.
func (b *books) compare(ctx context.Context, a *account, r events.LedgerReport) {
	wrong := a.state.Handled+a.state.Discarded < r.Handled+r.Discarded
	if wrong && !a.wrong {
		b.Logger.ErrorContext(ctx, "the ledger does not add up: fewer events were counted as settled than its bits say", slog.String("handler", a.Name),
			slog.Uint64("counted", a.state.Handled+a.state.Discarded), slog.Uint64("settled", r.Handled+r.Discarded))
	}
	a.wrong = wrong
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
	// cursor is how far the log was read.
	cursor events.Cursor
}

func (s *sorted) report(a *account) events.LedgerReport {
	r := events.LedgerReport{Handler: a.Name, Events: a.state.Events + a.owedBetween(a.state.Audited, s.cursor), Discarded: a.state.Discarded, Missing: s.missing}
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
