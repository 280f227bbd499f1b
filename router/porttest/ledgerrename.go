package porttest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
)

func testLedgerRename(s suite[LedgerStore]) {
	s.run("a ledger that is renamed is that of the other handler, as it was", func(t *testing.T, l LedgerStore) {
		ctx := t.Context()
		fillLedger(t, l, "old")
		want := get[events.LedgerState](t)(l.LedgerState(ctx, "old"))
		places := get[map[events.LogPosition]events.Place](t)(l.LedgerPlaces(ctx, "old"))
		if _, err := l.Attend(ctx, "new", "instance", 0); err != nil {
			t.Fatal(err)
		}
		for range 2 { // It may be repeated.
			must(t, l.RenameLedger(ctx, "old", "new"))
			if diff := cmp.Diff(want, get[events.LedgerState](t)(l.LedgerState(ctx, "new")), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the ledger of the new name (-old +new)\n%s", diff)
			}
		}
		if diff := cmp.Diff(places, get[map[events.LogPosition]events.Place](t)(l.LedgerPlaces(ctx, "new"))); diff != "" || len(places) == 0 {
			t.Errorf("the places of the new name (-old +new)\n%s", diff)
		}
		for p, want := range map[uint64]events.Standing{10: events.NotOwed, 4097: events.Settled, 5000: events.Open, 5001: events.Settled, 9000: events.Settled, 9001: events.Open} {
			if got := get[events.Standing](t)(l.Standing(ctx, "new", ledgerPosition(p))); got != want {
				t.Errorf("the standing of position %d is %d; want %d", p, got, want)
			}
		}
		if r := get[events.LedgerRound](t)(l.LedgerRound(ctx, "new")); len(r.Instances) != 1 {
			t.Errorf("the living instances are %v", r.Instances)
		}
		wantNoLedger(t, l, "old")
		must(t, l.RenameLedger(ctx, "new", "new"))
		if got := get[events.LedgerState](t)(l.LedgerState(ctx, "new")); got.Handled != want.Handled {
			t.Errorf("renamed to itself, %d events are handled; want %d", got.Handled, want.Handled)
		}
	})
	s.run("a ledger that is removed leaves nothing, and no other one is touched", func(t *testing.T, l LedgerStore) {
		for _, handler := range []string{"old", "older", "[o]ld*"} {
			fillLedger(t, l, handler)
		}
		for range 2 {
			must(t, l.RemoveLedger(t.Context(), "old"))
			wantNoLedger(t, l, "old")
		}
		must(t, l.RemoveLedger(t.Context(), "[o]ld*"))
		wantNoLedger(t, l, "[o]ld*")
		if s := get[events.LedgerState](t)(l.LedgerState(t.Context(), "older")); s.Handled != 3 {
			t.Errorf("the ledger of another handler is %+v", s)
		}
		// A handler of that name begins anew.
		get[[]events.LedgerTerm](t)(l.BeginLedger(t.Context(), "old", events.LedgerTerm{Types: []string{"A"}}))
		if got := get[events.Standing](t)(l.Standing(t.Context(), "old", ledgerPosition(9000))); got != events.Open {
			t.Errorf("the standing is %d in a ledger that has just begun", got)
		}
	})
	s.run("an audit of the other handler begins again", func(t *testing.T, l LedgerStore) {
		ctx := t.Context()
		for handler, watermark := range map[string]uint64{"old": 3, "new": 8} {
			get[[]events.LedgerTerm](t)(l.BeginLedger(ctx, handler, events.LedgerTerm{Types: []string{"A"}}))
			must(t, l.AdvanceLedger(ctx, handler, events.LedgerAdvance{Audited: events.Cursor{10}, Watermark: events.Cursor{watermark}, Events: 10}))
		}
		must(t, l.RenameLedger(ctx, "old", "new"))
		// Both were audited up to the same cursor.
		err := l.AdvanceLedger(ctx, "new", events.LedgerAdvance{
			From: events.Cursor{10}, FromWatermark: events.Cursor{8}, Audited: events.Cursor{12}, Watermark: events.Cursor{8},
		})
		wantCode(t, "an advance from the former watermark", err, events.CodeCursorMoved)
		wantCursor(t, get[events.LedgerState](t)(l.LedgerState(ctx, "new")).Watermark, 3)
		must(t, l.AdvanceLedger(ctx, "new", events.LedgerAdvance{
			From: events.Cursor{10}, FromWatermark: events.Cursor{3}, Audited: events.Cursor{12}, Watermark: events.Cursor{8},
		}))
	})
	s.run("two ledgers joined, like their model", func(t *testing.T, l LedgerStore) { checkLedgerRename(t, l) })
}

// fillLedger gives a handler a ledger that has everything a ledger can have.
func fillLedger(t tb, l LedgerStore, handler string) {
	t.Helper()
	ctx := context.Background()
	get[[]events.LedgerTerm](t)(l.BeginLedger(ctx, handler, events.LedgerTerm{After: events.Cursor{10}, Types: []string{"A"}}))
	get[[]events.LedgerTerm](t)(l.BeginLedger(ctx, handler, events.LedgerTerm{After: events.Cursor{20}, Types: []string{"A", "B"}}))
	for p, how := range map[uint64]events.Settlement{15: events.Handled, 5001: events.Handled, 9000: events.Handled, 9010: events.Discarded} {
		l.Settle(handler, ledgerPosition(p), how)
	}
	must(t, l.SyncLedger(ctx, handler))
	must(t, l.AdvanceLedger(ctx, handler, events.LedgerAdvance{From: events.Cursor{10}, Audited: events.Cursor{9100}, Watermark: events.Cursor{4200}, Events: 7}))
	must(t, l.SetPlace(ctx, handler, ledgerPosition(5000), events.Place{Kind: events.PlacePoison}))
	must(t, l.SetPlace(ctx, handler, ledgerPosition(9001), events.Place{Kind: events.PlaceMissing, Until: time.UnixMilli(1_764_300_000_123).UTC()}))
	must(t, l.SaveLedgerReport(ctx, events.LedgerReport{Handler: handler, Events: 7}))
}

func wantNoLedger(t tb, l LedgerStore, handler string) {
	t.Helper()
	ctx := context.Background()
	if s := get[events.LedgerState](t)(l.LedgerState(ctx, handler)); len(s.Terms) > 0 || s.Handled > 0 {
		t.Errorf("%s has the ledger %+v", handler, s)
	}
	if places := get[map[events.LogPosition]events.Place](t)(l.LedgerPlaces(ctx, handler)); len(places) > 0 {
		t.Errorf("%s has the places %v", handler, places)
	}
	if _, ok := get[map[string]events.LedgerReport](t)(l.LedgerReports(ctx))[handler]; ok {
		t.Errorf("%s has a report", handler)
	}
}

// half is one of two ledgers that are joined.
type half struct {
	handler          string
	begin, watermark uint64
	audited          uint64
	types            []string
	settled          map[uint64]bool
	places           map[uint64]events.Place
}

// drawHalf draws a ledger, and writes it.
func drawHalf(rt *rapid.T, l LedgerStore, name string) half {
	ctx := context.Background()
	h := half{handler: name + events.NewID(), settled: map[uint64]bool{}, places: map[uint64]events.Place{}}
	h.begin = rapid.SampledFrom([]uint64{0, 5, 4090, 4096, 4100, 8200}).Draw(rt, name+" begins after")
	h.types = rapid.SampledFrom([][]string{{"A"}, {"A", "B"}}).Draw(rt, name+" types")
	get[[]events.LedgerTerm](rt)(l.BeginLedger(ctx, h.handler, events.LedgerTerm{After: events.Cursor{h.begin}, Types: h.types}))
	for range rapid.IntRange(0, 10).Draw(rt, name+" settles") {
		p := drawPosition(rt)
		l.Settle(h.handler, ledgerPosition(p), events.Handled)
		if p > h.begin {
			h.settled[p] = true
		}
	}
	must(rt, l.SyncLedger(ctx, h.handler))
	h.watermark = h.begin + rapid.SampledFrom([]uint64{0, 3, 4096, 5000}).Draw(rt, name+" watermark")
	h.audited = h.watermark + rapid.SampledFrom([]uint64{0, 7, 5000}).Draw(rt, name+" audited")
	must(rt, l.AdvanceLedger(ctx, h.handler, events.LedgerAdvance{
		From: events.Cursor{h.begin}, Audited: events.Cursor{h.audited}, Watermark: events.Cursor{h.watermark}, Events: h.owed(h.audited),
	}))
	for range rapid.IntRange(0, 5).Draw(rt, name+" places") {
		p, place := drawPosition(rt), events.Place{Kind: events.PlacePoison}
		must(rt, l.SetPlace(ctx, h.handler, ledgerPosition(p), place))
		if h.standing(p) == events.Open {
			h.places[p] = place
		}
	}
	return h
}

// owed is how many events it owes up to a position, of a log whose events are A and B in turn.
func (h half) owed(upTo uint64) (n uint64) {
	for p := h.begin + 1; p <= upTo; p++ {
		if p%2 == 0 || len(h.types) == 2 {
			n++
		}
	}
	return n
}

func (h half) standing(p uint64) events.Standing {
	switch {
	case p <= h.begin:
		return events.NotOwed
	case p <= h.watermark || h.settled[p]:
		return events.Settled
	}
	return events.Open
}

// checkLedgerRename joins two ledgers: an event is owed if either owed it, and settled if either
// has settled it; and what is counted is what is owed.
func checkLedgerRename(t *testing.T, l LedgerStore) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		old, own := drawHalf(rt, l, "old"), drawHalf(rt, l, "own")
		must(rt, l.RenameLedger(ctx, old.handler, own.handler))
		state := get[events.LedgerState](rt)(l.LedgerState(ctx, own.handler))
		places := get[map[events.LogPosition]events.Place](rt)(l.LedgerPlaces(ctx, own.handler))
		want := map[events.LogPosition]events.Place{}
		standing := func(p uint64) events.Standing { return max(old.standing(p), own.standing(p)) }
		for _, h := range []half{old, own} {
			for p, place := range h.places {
				if standing(p) == events.Open {
					want[ledgerPosition(p)] = place
				}
			}
		}
		if diff := cmp.Diff(want, places, cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("the places (-want +got)\n%s", diff)
		}
		for range 20 {
			p := drawPosition(rt)
			if got := get[events.Standing](rt)(l.Standing(ctx, own.handler, ledgerPosition(p))); got != standing(p) {
				rt.Fatalf("the standing of position %d is %d; want %d", p, got, standing(p))
			}
		}
		var counted uint64
		for p := uint64(1); p <= state.Audited.At(0); p++ {
			for i := len(state.Terms) - 1; i >= 0; i-- {
				if term := state.Terms[i]; p > term.After.At(0) {
					if p%2 == 0 || len(term.Types) == 2 {
						counted++
					}
					break
				}
			}
		}
		if state.Events != counted || state.Watermark.At(0) > state.Audited.At(0) {
			rt.Fatalf("%d events are counted up to %v, with the watermark %v; want %d", state.Events, state.Audited, state.Watermark, counted)
		}
		// What the audit has not passed is in bits, for as long as it has not.
		must(rt, l.AdvanceLedger(ctx, own.handler, events.LedgerAdvance{From: state.Audited, FromWatermark: state.Watermark, Audited: state.Audited, Watermark: state.Watermark}))
		first := state.Watermark.At(0) / events.ChunkPositions
		for c := first; c < first+5; c++ {
			bits := get[[][]byte](rt)(l.LedgerBits(ctx, own.handler, []events.LedgerChunk{{Number: c}}))[0]
			for i := range events.ChunkPositions {
				p := c*events.ChunkPositions + uint64(i) + 1 //nolint:gosec // It is small.
				set := i/8 < len(bits) && bits[i/8]&(0x80>>(i%8)) != 0
				if p > state.Watermark.At(0) && set != (standing(p) == events.Settled) {
					rt.Fatalf("the bit of position %d is %v", p, set)
				}
			}
		}
	})
}
