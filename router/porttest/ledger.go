package porttest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// LedgerStore is what [TestLedger] checks.
type LedgerStore interface {
	router.Ledger
	router.AuditLedger
	router.LedgerAdmin
}

// TestLedger checks an implementation of [router.Ledger], [router.AuditLedger] and [router.LedgerAdmin]. It uses
// partition 0 only.
func TestLedger(t *testing.T, open func(t *testing.T) LedgerStore) {
	s := suite[LedgerStore]{t, open}
	testLedgerTerms(s)
	testLedgerSettling(s)
	testLedgerPlaces(s)
	testLedgerAudit(s)
	testLedgerMarks(s)
	testLedgerRename(s)
	s.run("like its model", func(t *testing.T, l LedgerStore) { checkLedgerModel(t, l) })
}

func testLedgerTerms(s suite[LedgerStore]) {
	s.run("a term is added only with other types, and begins after the last one", func(t *testing.T, l LedgerStore) {
		ctx := t.Context()
		var want []events.LedgerTerm
		for _, step := range []struct {
			after events.Cursor
			types []string
			added *events.LedgerTerm
		}{
			{events.Cursor{5}, []string{"B", "A", "B"}, &events.LedgerTerm{After: events.Cursor{5}, Types: []string{"A", "B"}}},
			{events.Cursor{9}, []string{"A", "B"}, nil},
			{events.Cursor{3}, []string{"A"}, &events.LedgerTerm{After: events.Cursor{5}, Types: []string{"A"}}},
			{events.Cursor{9}, []string{"A", "B"}, &events.LedgerTerm{After: events.Cursor{9}, Types: []string{"A", "B"}}},
		} {
			if step.added != nil {
				want = append(want, *step.added)
			}
			got := get[[]events.LedgerTerm](t)(l.BeginLedger(ctx, "h", events.LedgerTerm{After: step.after, Types: step.types}))
			wantTerms(t, got, want)
			wantTerms(t, get[events.LedgerState](t)(l.LedgerState(ctx, "h")).Terms, want)
		}
		if other := get[events.LedgerState](t)(l.LedgerState(ctx, "other")); len(other.Terms) > 0 {
			t.Errorf("another handler has the terms %v", other.Terms)
		}
	})
	s.run("instances that begin at the same time agree", func(t *testing.T, l LedgerStore) {
		ctx := t.Context()
		got := make(chan []events.LedgerTerm)
		const instances = 20
		for i := range uint64(instances) {
			go func() {
				terms, err := l.BeginLedger(ctx, "h", events.LedgerTerm{After: events.Cursor{i}, Types: []string{"A"}})
				if err != nil {
					t.Error(err)
				}
				got <- terms
			}()
		}
		first := <-got
		for range instances - 1 {
			wantTerms(t, <-got, first)
		}
		wantCursor(t, get[events.LedgerState](t)(l.LedgerState(ctx, "h")).Audited, first[0].After...)
	})
	s.run("a ledger begins settled and audited up to its first term", func(t *testing.T, l LedgerStore) {
		beginLedger(t, l, 7)
		state := get[events.LedgerState](t)(l.LedgerState(t.Context(), "h"))
		wantCursor(t, state.Watermark, 7)
		wantCursor(t, state.Audited, 7)
	})
}

func testLedgerSettling(s suite[LedgerStore]) {
	s.run("what is not the log's is not owed", func(t *testing.T, l LedgerStore) {
		wantStanding(t, l, 1, events.NotOwed) // The ledger has not begun.
		beginLedger(t, l, 0)
		for _, at := range []events.LogPosition{{Partition: 0, Position: 0}, {Partition: -1, Position: 1}} {
			l.Settle("h", at, events.Handled)
			must(t, l.SyncLedger(t.Context(), "h"))
			if got := get[events.Standing](t)(l.Standing(t.Context(), "h", at)); got != events.NotOwed {
				t.Errorf("the standing of %v is %d", at, got)
			}
		}
		wantCounts(t, l, 0, 0)
	})
	s.run("an event is settled once, and for its handler alone", func(t *testing.T, l LedgerStore) {
		beginLedger(t, l, 10)
		for _, p := range []uint64{11, 4095, 4097, 8193, 70_000} {
			wantStanding(t, l, p, events.Open)
			l.Settle("h", ledgerPosition(p), events.Handled)
			wantStanding(t, l, p, events.Settled)
			must(t, l.SyncLedger(t.Context(), "h"))
			l.Settle("h", ledgerPosition(p), events.Discarded)
			wantStanding(t, l, p, events.Settled)
			wantStanding(t, l, p+1, events.Open)
		}
		wantStanding(t, l, 4096, events.Open)
		wantCounts(t, l, 5, 0)
		get[[]events.LedgerTerm](t)(l.BeginLedger(t.Context(), "other", events.LedgerTerm{Types: []string{"A"}}))
		if got := get[events.Standing](t)(l.Standing(t.Context(), "other", ledgerPosition(11))); got != events.Open {
			t.Errorf("the standing for another handler is %d", got)
		}
	})
	s.run("what was before the ledger began is not settled", func(t *testing.T, l LedgerStore) {
		l.Settle("h", ledgerPosition(20), events.Handled)
		must(t, l.SyncLedger(t.Context(), "h"))
		beginLedger(t, l, 10)
		wantStanding(t, l, 20, events.Open)
		l.Settle("h", ledgerPosition(10), events.Handled)
		must(t, l.SyncLedger(t.Context(), "h"))
		wantStanding(t, l, 10, events.NotOwed)
		wantCounts(t, l, 0, 0)
	})
	s.run("handled and discarded are counted apart", func(t *testing.T, l LedgerStore) {
		beginLedger(t, l, 0)
		for p := uint64(1); p <= 20; p++ {
			l.Settle("h", ledgerPosition(p), events.Settlement(p%2)) //nolint:gosec // 0 or 1.
		}
		l.Settle("h", ledgerPosition(1), events.Handled)
		wantCounts(t, l, 10, 10)
	})
	s.run("bits are those of the chunk, most significant first", func(t *testing.T, l LedgerStore) {
		beginLedger(t, l, 0)
		for _, p := range []uint64{1, 10, 4096, 4097, 12_289 + 7} {
			l.Settle("h", ledgerPosition(p), events.Handled)
		}
		must(t, l.SyncLedger(t.Context(), "h"))
		full := make([]byte, events.ChunkPositions/8)
		full[0], full[1], full[511] = 0x80, 0x40, 0x01
		got := get[[][]byte](t)(l.LedgerBits(t.Context(), "h", []events.LedgerChunk{{Number: 3}, {Number: 0}, {Number: 2}, {Number: 1}}))
		for i := range got {
			for len(got[i]) > 0 && got[i][len(got[i])-1] == 0 { // What is left out is 0.
				got[i] = got[i][:len(got[i])-1]
			}
		}
		if diff := cmp.Diff([][]byte{{0x01}, full, nil, {0x80}}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func testLedgerPlaces(s suite[LedgerStore]) {
	until := time.UnixMilli(1_764_300_000_123).UTC()
	s.run("an open event has the place that was set last", func(t *testing.T, l LedgerStore) {
		beginLedger(t, l, 0)
		ctx, want := t.Context(), map[events.LogPosition]events.Place{}
		for i, place := range []events.Place{
			{Kind: events.PlacePoison}, {Kind: events.PlaceParked}, {Kind: events.PlaceDelayed, Until: until},
			{Kind: events.PlaceQueued, Until: until}, {Kind: events.PlaceMissing, Until: until},
		} {
			at := ledgerPosition(4094 + uint64(i)) //nolint:gosec // It is small.
			must(t, l.SetPlace(ctx, "h", at, events.Place{Kind: events.PlaceQueued}))
			must(t, l.SetPlace(ctx, "h", at, place))
			want[at] = place
		}
		must(t, l.SetPlace(ctx, "h", ledgerPosition(4095), events.Place{}))
		delete(want, ledgerPosition(4095))
		wantPlaces(t, l, want)
		l.Settle("h", ledgerPosition(4094), events.Discarded)
		l.Settle("h", ledgerPosition(4097), events.Handled)
		must(t, l.SyncLedger(ctx, "h"))
		delete(want, ledgerPosition(4094))
		delete(want, ledgerPosition(4097))
		wantPlaces(t, l, want)
	})
	s.run("an event that is settled or not owed has no place", func(t *testing.T, l LedgerStore) {
		ctx, place := t.Context(), events.Place{Kind: events.PlaceDelayed, Until: until}
		must(t, l.SetPlace(ctx, "h", ledgerPosition(9), place))
		beginLedger(t, l, 3)
		must(t, l.AdvanceLedger(ctx, "h", events.LedgerAdvance{From: events.Cursor{3}, Audited: events.Cursor{5}, Watermark: events.Cursor{5}}))
		l.Settle("h", ledgerPosition(7), events.Handled)
		must(t, l.SyncLedger(ctx, "h"))
		for _, p := range []uint64{0, 3, 5, 7} {
			must(t, l.SetPlace(ctx, "h", ledgerPosition(p), place))
		}
		wantPlaces(t, l, nil)
		must(t, l.SetPlace(ctx, "h", ledgerPosition(6), place))
		wantPlaces(t, l, map[events.LogPosition]events.Place{ledgerPosition(6): place})
	})
}

func testLedgerAudit(s suite[LedgerStore]) {
	s.run("an audit that does not know all terms advances nothing", func(t *testing.T, l LedgerStore) {
		ctx := t.Context()
		beginLedger(t, l, 2)
		_, err := l.BeginLedger(ctx, "h", events.LedgerTerm{After: events.Cursor{4}, Types: []string{"ANOTHER"}})
		must(t, err)
		advance := func(terms int) error {
			return l.AdvanceLedger(ctx, "h", events.LedgerAdvance{From: events.Cursor{2}, Terms: terms, Audited: events.Cursor{9}, Watermark: events.Cursor{9}})
		}
		wantCode(t, "an audit by the first term alone", advance(1), events.CodeCursorMoved)
		must(t, advance(2))
	})
	s.run("only the audit that starts from the audited cursor advances it", func(t *testing.T, l LedgerStore) {
		ctx := t.Context()
		advance := func(from, audited, watermark, n uint64) error {
			return l.AdvanceLedger(ctx, "h", events.LedgerAdvance{
				From: events.Cursor{from}, Audited: events.Cursor{audited}, Watermark: events.Cursor{watermark}, Events: n,
			})
		}
		wantCode(t, "an audit of a ledger that has not begun", advance(0, 5, 0, 5), events.CodeCursorMoved)
		beginLedger(t, l, 2)
		wantCode(t, "an audit from another cursor", advance(0, 5, 5, 5), events.CodeCursorMoved)
		must(t, advance(2, 10, 6, 4))
		wantCode(t, "the same audit again", advance(2, 10, 6, 4), events.CodeCursorMoved)
		must(t, advance(10, 12, 3, 2)) // The watermark stays.
		state := get[events.LedgerState](t)(l.LedgerState(ctx, "h"))
		wantCursor(t, state.Audited, 12)
		wantCursor(t, state.Watermark, 6)
		if state.Events != 6 {
			t.Errorf("%d events were counted; want 6", state.Events)
		}
		wantStanding(t, l, 6, events.Settled)
		wantStanding(t, l, 7, events.Open)
	})
	s.run("chunks that the watermark has passed are dropped, and do not come back", func(t *testing.T, l LedgerStore) {
		beginLedger(t, l, 0)
		ctx := t.Context()
		for p := uint64(1); p <= 8210; p += 41 {
			l.Settle("h", ledgerPosition(p), events.Handled)
		}
		must(t, l.SyncLedger(ctx, "h"))
		before := get[events.LedgerState](t)(l.LedgerState(ctx, "h")).Handled
		must(t, l.AdvanceLedger(ctx, "h", events.LedgerAdvance{From: events.Cursor{0}, Audited: events.Cursor{8300}, Watermark: events.Cursor{8192}}))
		for p := uint64(2); p <= 8192; p += 100 {
			l.Settle("h", ledgerPosition(p), events.Handled)
			wantStanding(t, l, p, events.Settled)
		}
		must(t, l.SyncLedger(ctx, "h"))
		bits := get[[][]byte](t)(l.LedgerBits(ctx, "h", []events.LedgerChunk{{Number: 0}, {Number: 1}, {Number: 2}}))
		if bits[0] != nil || bits[1] != nil || bits[2] == nil {
			t.Errorf("there are %d, %d and %d bytes of the three chunks; want only the last one", len(bits[0]), len(bits[1]), len(bits[2]))
		}
		wantCounts(t, l, before, 0)
		wantStanding(t, l, 8193, events.Open)
	})
	s.run("a report is replaced", func(t *testing.T, l LedgerStore) {
		ctx := t.Context()
		want := map[string]events.LedgerReport{}
		for i, handler := range []string{"a", "b", "a"} {
			r := events.LedgerReport{Handler: handler, Events: uint64(i), Missing: 1, OldestSeconds: 1.5, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} //nolint:gosec // It is small.
			must(t, l.SaveLedgerReport(ctx, r))
			want[handler] = r
		}
		if diff := cmp.Diff(want, get[map[string]events.LedgerReport](t)(l.LedgerReports(ctx))); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func testLedgerMarks(s suite[LedgerStore]) {
	s.run("a round ends when all living instances have cleared its mark", func(t *testing.T, l LedgerStore) {
		ctx := t.Context()
		wantRound(t, l, events.LedgerRound{})
		for want := range uint64(3) {
			if got := get[uint64](t)(l.SendMark(ctx, "h")); got != want+1 {
				t.Fatalf("mark %d was sent; want %d", got, want+1)
			}
		}
		wantRound(t, l, events.LedgerRound{Sent: 3})
		must(t, l.MarkPassed(ctx, "h", 2))
		must(t, l.MarkPassed(ctx, "h", 1))
		wantRound(t, l, events.LedgerRound{Sent: 3, Passed: 2})
		for id, cleared := range map[string]uint64{"b": 2, "a:1": 0} {
			if got := get[uint64](t)(l.Attend(ctx, "h", id, cleared)); got != 2 {
				t.Errorf("mark %d has arrived; want 2", got)
			}
		}
		wantRound(t, l, events.LedgerRound{Sent: 3, Passed: 2, Cleared: 0, Instances: []string{"a:1", "b"}})
		get[uint64](t)(l.Attend(ctx, "h", "a:1", 1))
		wantRound(t, l, events.LedgerRound{Sent: 3, Passed: 2, Cleared: 1, Instances: []string{"a:1", "b"}})
		must(t, l.Leave(ctx, "h", "a:1"))
		must(t, l.Leave(ctx, "h", "a:1"))
		wantRound(t, l, events.LedgerRound{Sent: 3, Passed: 2, Cleared: 2, Instances: []string{"b"}})
		beginLedger(t, l, 0) // Marks have no part in it.
		if got := get[uint64](t)(l.Attend(ctx, "other", "b", 0)); got != 0 {
			t.Errorf("mark %d of another handler has arrived", got)
		}
	})
}

// beginLedger begins the ledger of the handler h after a position of partition 0.
func beginLedger(t tb, l router.Ledger, after uint64) {
	t.Helper()
	get[[]events.LedgerTerm](t)(l.BeginLedger(context.Background(), "h", events.LedgerTerm{After: events.Cursor{after}, Types: []string{"A"}}))
}

func ledgerPosition(p uint64) events.LogPosition { return events.LogPosition{Position: p} }

func wantTerms(t tb, got, want []events.LedgerTerm) {
	t.Helper()
	for i := range got {
		for len(got[i].After) > 1 && got[i].After[len(got[i].After)-1] == 0 {
			got[i].After = slices.Clone(got[i].After[:len(got[i].After)-1])
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("the terms are others (-want +got)\n%s", diff)
	}
}

func wantStanding(t tb, l router.Ledger, p uint64, want events.Standing) {
	t.Helper()
	if got := get[events.Standing](t)(l.Standing(context.Background(), "h", ledgerPosition(p))); got != want {
		t.Fatalf("the standing of position %d is %d; want %d", p, got, want)
	}
}

func wantCounts(t tb, l LedgerStore, handled, discarded uint64) {
	t.Helper()
	must(t, l.SyncLedger(context.Background(), "h"))
	s := get[events.LedgerState](t)(l.LedgerState(context.Background(), "h"))
	if s.Handled != handled || s.Discarded != discarded {
		t.Fatalf("%d events are handled and %d discarded; want %d and %d", s.Handled, s.Discarded, handled, discarded)
	}
}

func wantPlaces(t tb, l LedgerStore, want map[events.LogPosition]events.Place) {
	t.Helper()
	got := get[map[events.LogPosition]events.Place](t)(l.LedgerPlaces(context.Background(), "h"))
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("the places are others (-want +got)\n%s", diff)
	}
}

func wantRound(t tb, l LedgerStore, want events.LedgerRound) {
	t.Helper()
	got := get[events.LedgerRound](t)(l.LedgerRound(context.Background(), "h"))
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("the round is another (-want +got)\n%s", diff)
	}
}
