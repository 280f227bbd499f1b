package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// A rename that breaks off after any of its commands is finished by the next one, and counts
// everything once.
func TestLedger_RenameLedger_BreaksOffAnywhere(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		for n := 1; ; n++ {
			s, ctx := redistest.OpenIn(t, url, ns), t.Context()
			from, to := fmt.Sprint("from", n), fmt.Sprint("to", n)
			for _, handler := range []string{from, to} {
				begin(t, s, handler)
			}
			settle(t, s, from, 1, 50)
			noError(t, s.AdvanceLedger(ctx, from, events.LedgerAdvance{From: events.Cursor{}, Audited: events.Cursor{100}, Watermark: events.Cursor{50}, Events: 100}))
			settle(t, s, from, 5001, 5050)
			settle(t, s, to, 5051, 5060)
			noError(t, s.SetPlace(ctx, from, at(60), events.Place{Kind: events.PlacePoison}))
			broken, cancel := context.WithCancel(ctx)
			var calls int
			var mu sync.Mutex
			s.Client().AddHook(redistest.Hook{After: func(cmd goredis.Cmder) {
				if args := fmt.Sprint(cmd.Args()...); !strings.Contains(args, "ledger:") {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if calls++; calls >= n {
					cancel() // And nothing is done any more.
					cmd.SetErr(context.Canceled)
				}
			}, Before: func(goredis.Cmder) {}})
			err := s.RenameLedger(broken, from, to)
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			other := redistest.OpenIn(t, url, ns)
			noError(t, other.RenameLedger(ctx, from, to))
			state := redistest.Must[events.LedgerState](t)(other.LedgerState(ctx, to))
			if state.Handled != 110 || state.Events != 100 || state.Watermark.At(0) != 50 || state.Audited.At(0) != 100 {
				t.Fatalf("broken off after %d commands: the ledger is %+v", n, state)
			}
			places := redistest.Must[map[events.LogPosition]events.Place](t)(other.LedgerPlaces(ctx, to))
			if diff := cmp.Diff(map[events.LogPosition]events.Place{at(60): {Kind: events.PlacePoison}}, places); diff != "" {
				t.Fatalf("broken off after %d commands: the places (-want +got)\n%s", n, diff)
			}
			for p, want := range map[int]events.Standing{1: events.Settled, 51: events.Open, 5001: events.Settled, 5060: events.Settled, 5061: events.Open} {
				if got := standing(t, other, to, at(p)); got != want {
					t.Fatalf("broken off after %d commands: the standing of position %d is %d; want %d", n, p, got, want)
				}
			}
			if keys := redistest.Must[[]string](t)(other.Client().Keys(ctx, ns+":ledger:{"+from+"}*").Result()); len(keys) != 0 {
				t.Fatalf("broken off after %d commands: %v are left", n, keys)
			}
			if err == nil {
				t.Logf("a rename takes %d commands", n-1)
				if n < 8 {
					t.Errorf("it was broken off at %d commands only", n-1)
				}
				return
			}
		}
	})
}

// The other handler runs meanwhile, and is audited: nothing that it settles is lost, and
// everything is counted once.
func TestLedger_RenameLedger_WhileTheOtherHandlerRuns(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, running, ctx := redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns), t.Context()
		begin(t, s, "from")
		const old, fresh = 20_000, 40_000
		settle(t, s, "from", 1, old)
		redistest.Must[[]events.LedgerTerm](t)(s.BeginLedger(ctx, "to", events.LedgerTerm{After: events.Cursor{old}, Types: []string{"A"}}))
		started, renamed := make(chan struct{}), make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			for p := old + 1; p <= fresh; p++ {
				running.Settle("to", at(p), events.Handled)
				if p%500 != 0 {
					continue
				}
				noError(t, running.SyncLedger(ctx, "to"))
				if p == old+1000 {
					close(started)
				}
				if p == fresh-1000 {
					<-renamed
				}
			}
		})
		all.Go(func() { // The auditor.
			for audits := 0; ; audits++ {
				state, err := running.LedgerState(ctx, "to")
				noError(t, err)
				first := events.LedgerAdvance{From: state.Audited, FromWatermark: state.Watermark, Audited: state.Audited.Clone(1), Watermark: state.Watermark}
				first.Audited[0]++
				if err := running.AdvanceLedger(ctx, "to", first); err != nil && events.CodeOf(err) != events.CodeCursorMoved {
					t.Error(err)
				}
				select {
				case <-renamed:
					return
				default:
				}
			}
		})
		redistest.Receive(t, started)
		noError(t, s.RenameLedger(ctx, "from", "to"))
		close(renamed)
		all.Wait()
		state := redistest.Must[events.LedgerState](t)(s.LedgerState(ctx, "to"))
		if state.Handled != fresh || state.Watermark.At(0) != 0 {
			t.Errorf("the ledger is %+v; want %d handled", state, fresh)
		}
		for p := 1; p <= fresh; p += 7 {
			if got := standing(t, s, "to", at(p)); got != events.Settled {
				t.Fatalf("the standing of position %d is %d", p, got)
			}
		}
	})
}

// settle settles positions, and waits until they are stored.
func settle(t testing.TB, s *redis.Store, handler string, from, to int) {
	t.Helper()
	for p := from; p <= to; p++ {
		s.Settle(handler, at(p), events.Handled)
	}
	noError(t, s.SyncLedger(t.Context(), handler))
}
