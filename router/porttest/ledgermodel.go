package porttest

import (
	"context"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
)

// ledgerModel is what the ledger of a handler must contain after some steps, in partition 0.
type ledgerModel struct {
	l                  LedgerStore
	handler            string // of this run, as runs share the store
	begun              bool
	after              uint64
	watermark, audited uint64
	events             uint64
	settled            map[uint64]events.Settlement // stored, and counted
	waiting            map[uint64]events.Settlement // not yet synced
	places             map[uint64]bool
}

// checkLedgerModel lets rapid begin, settle, sync, place and advance a ledger: nothing counts as
// settled that was not settled, and everything is counted once.
func checkLedgerModel(t *testing.T, l LedgerStore) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &ledgerModel{
			l: l, handler: events.NewID(),
			settled: map[uint64]events.Settlement{}, waiting: map[uint64]events.Settlement{}, places: map[uint64]bool{},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"begin": m.begin, "settle": m.settle, "sync": m.sync, "place": m.place, "advance": m.advance, "": m.check,
		})
		m.sync(rt)
		m.checkState(rt)
	})
}

// drawPosition draws a position near the edge of a chunk, or anywhere.
func drawPosition(rt *rapid.T) uint64 {
	return rapid.OneOf(
		rapid.SampledFrom([]uint64{1, 2, 8, 9, 4095, 4096, 4097, 4098, 8192, 8193}),
		rapid.Uint64Range(1, 20), rapid.Uint64Range(1, 3*events.ChunkPositions),
	).Draw(rt, "position")
}

func (m *ledgerModel) begin(rt *rapid.T) {
	if m.begun {
		return
	}
	m.after = rapid.SampledFrom([]uint64{0, 0, 1, 5, 4096, 4100}).Draw(rt, "after")
	m.begun, m.watermark, m.audited = true, m.after, m.after
	// What was settled before and is not stored may be stored before the ledger begins, and
	// is nothing then, or afterwards: so it must not be waiting.
	must(rt, m.l.SyncLedger(context.Background(), m.handler))
	clear(m.waiting)
	_, err := m.l.BeginLedger(context.Background(), m.handler, events.LedgerTerm{After: events.Cursor{m.after}, Types: []string{"A"}})
	must(rt, err)
}

func (m *ledgerModel) standing(p uint64) events.Standing {
	_, stored := m.settled[p]
	_, waiting := m.waiting[p]
	switch {
	case !m.begun || p <= m.after:
		return events.NotOwed
	case p <= m.watermark || stored || waiting:
		return events.Settled
	}
	return events.Open
}

func (m *ledgerModel) settle(rt *rapid.T) {
	from := drawPosition(rt)
	how := events.Settlement(rapid.IntRange(0, 1).Draw(rt, "how"))                             //nolint:gosec // 0 or 1.
	for p := from; p < from+uint64(rapid.SampledFrom([]int{1, 1, 3, 30}).Draw(rt, "n")); p++ { //nolint:gosec // It is small.
		m.l.Settle(m.handler, ledgerPosition(p), how)
		if m.standing(p) == events.Open {
			m.waiting[p] = how
		}
	}
}

func (m *ledgerModel) sync(rt *rapid.T) {
	must(rt, m.l.SyncLedger(context.Background(), m.handler))
	for p, how := range m.waiting {
		m.settled[p] = how
		delete(m.places, p)
	}
	clear(m.waiting)
}

func (m *ledgerModel) place(rt *rapid.T) {
	m.sync(rt) // Until what waits is stored, an event may have a place.
	p := drawPosition(rt)
	place := rapid.SampledFrom([]events.Place{{}, {Kind: events.PlacePoison}}).Draw(rt, "place")
	must(rt, m.l.SetPlace(context.Background(), m.handler, ledgerPosition(p), place))
	delete(m.places, p)
	if place.Kind != "" && m.standing(p) == events.Open {
		m.places[p] = true
	}
}

// advance moves the audit, often from the cursor that is stored, and the watermark as far as
// everything is settled.
func (m *ledgerModel) advance(rt *rapid.T) {
	m.sync(rt)
	from := m.audited
	if rapid.IntRange(0, 3).Draw(rt, "stale") == 0 {
		from += uint64(rapid.IntRange(0, 1).Draw(rt, "more")) //nolint:gosec // 0 or 1.
	}
	watermark := m.watermark
	for {
		if _, ok := m.settled[watermark+1]; !ok {
			break
		}
		watermark++
	}
	if rapid.IntRange(0, 3).Draw(rt, "jump") == 0 { // Nothing is owed up to there.
		watermark = max(watermark, drawPosition(rt))
		for p := range m.places {
			if p <= watermark {
				watermark = m.watermark
				break
			}
		}
	}
	a := events.LedgerAdvance{From: events.Cursor{from}, Audited: events.Cursor{from + 10}, Watermark: events.Cursor{watermark}, Events: 3}
	err := m.l.AdvanceLedger(context.Background(), m.handler, a)
	if !m.begun || from != m.audited {
		wantCode(rt, "an advance from another cursor", err, events.CodeCursorMoved)
		return
	}
	must(rt, err)
	m.audited, m.watermark, m.events = from+10, max(m.watermark, watermark), m.events+3
}

// check looks at some positions, before and after what waits is stored.
func (m *ledgerModel) check(rt *rapid.T) {
	for range 3 {
		p := drawPosition(rt)
		want := m.standing(p)
		got, err := m.l.Standing(context.Background(), m.handler, ledgerPosition(p))
		must(rt, err)
		// An event that is not owed may count as settled until it turns out that it is not.
		if got != want && (want != events.NotOwed || got != events.Settled) {
			rt.Fatalf("the standing of position %d is %d; want %d", p, got, want)
		}
	}
}

func (m *ledgerModel) checkState(rt *rapid.T) {
	ctx := context.Background()
	s, err := m.l.LedgerState(ctx, m.handler)
	must(rt, err)
	var handled, discarded uint64
	for p, how := range m.settled {
		if how == events.Discarded {
			discarded++
		} else {
			handled++
		}
		if got, err := m.l.Standing(ctx, m.handler, ledgerPosition(p)); err != nil || got != events.Settled {
			rt.Fatalf("position %d was settled, and its standing is %d (%v)", p, got, err)
		}
	}
	want := fmt.Sprint(handled, discarded, m.events, m.watermark, m.audited)
	if got := fmt.Sprint(s.Handled, s.Discarded, s.Events, s.Watermark.At(0), s.Audited.At(0)); got != want {
		rt.Fatalf("handled, discarded, events, watermark and audited are %s; want %s", got, want)
	}
	places, err := m.l.LedgerPlaces(ctx, m.handler)
	must(rt, err)
	for at := range places {
		if !m.places[at.Position] {
			rt.Fatalf("position %d has a place", at.Position)
		}
	}
	if len(places) != len(m.places) {
		rt.Fatalf("%d events have places; want %d", len(places), len(m.places))
	}
}
