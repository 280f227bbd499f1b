package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/router/porttest"
)

// The contract suite on the nodes of a cluster.
func TestLedger_RedisCluster(t *testing.T) {
	t.Parallel()
	url := brokertest.StartRedisCluster(t)
	porttest.TestLedger(t, func(t *testing.T) porttest.LedgerStore {
		return redistest.OpenIn(t, url, brokertest.Namespace(t))
	})
}

// What is settled is written before a store is closed.
func TestLedger_Close_WritesTheBuffer(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		first := redistest.Must[*redis.Store](t)(redis.Open(t.Context(), redis.Config{URL: url, Namespace: ns}))
		for _, handler := range []string{"a", "b"} {
			begin(t, first, handler)
			for p := range 16 {
				for position := uint64(1); position <= 300; position++ {
					first.Settle(handler, events.LogPosition{Partition: p, Position: position}, events.Handled)
				}
			}
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if err := first.SyncLedger(t.Context(), "a"); events.CodeOf(err) != events.CodeShuttingDown {
			t.Errorf("syncing a closed ledger: %v", err)
		}
		second := redistest.OpenIn(t, url, ns)
		for _, handler := range []string{"a", "b"} {
			if s := redistest.Must[events.LedgerState](t)(second.LedgerState(t.Context(), handler)); s.Handled != 16*300 {
				t.Errorf("%d events of %s are handled; want %d", s.Handled, handler, 16*300)
			}
		}
	})
}

// What is settled is written by itself when nobody waits for it.
func TestLedger_Settle_IsWrittenWithoutSync(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, other := redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns)
		begin(t, s, "h")
		s.Settle("h", at(5), events.Handled)
		redistest.Eventually(t, "another process sees it", func() bool { return standing(t, other, "h", at(5)) == events.Settled })
	})
}

// Many callers who wait at the same time share few writes.
func TestLedger_SyncLedger_SharesWrites(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s := redistest.Open(t, url)
		begin(t, s, "h")
		const callers = 200
		var all sync.WaitGroup
		hold := make(chan struct{})
		var writes atomic.Int32
		s.Client().AddHook(redistest.Hook{Before: func(cmd goredis.Cmder) {
			if isSettle(cmd) && writes.Add(1) == 1 {
				<-hold // Meanwhile the others gather.
			}
		}})
		s.Settle("h", at(10_000), events.Handled)
		all.Go(func() { noError(t, s.SyncLedger(t.Context(), "h")) })
		redistest.Eventually(t, "the first write is under way", func() bool { return writes.Load() == 1 })
		for i := range callers {
			s.Settle("h", at(i+1), events.Handled)
			all.Go(func() { noError(t, s.SyncLedger(t.Context(), "h")) })
		}
		close(hold)
		all.Wait()
		if state := redistest.Must[events.LedgerState](t)(s.LedgerState(t.Context(), "h")); state.Handled != callers+1 {
			t.Errorf("%d events are handled; want %d", state.Handled, callers+1)
		}
		// The first, the others, and once more on a server that does not know the script.
		if n := writes.Load(); n > 6 {
			t.Errorf("%d calls took %d writes", callers+1, n)
		}
	})
}

// What is on its way and not yet stored is waited for, also if nothing else is.
func TestLedger_SyncLedger_WaitsForTheWriteUnderWay(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, other := redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns)
		begin(t, s, "h")
		sending, hold := make(chan struct{}), make(chan struct{})
		once, release := sync.OnceFunc(func() { close(sending) }), sync.OnceFunc(func() { close(hold) })
		defer release()
		s.Client().AddHook(redistest.Hook{Before: func(cmd goredis.Cmder) {
			if isSettle(cmd) {
				once()
				<-hold
			}
		}})
		s.Settle("h", at(1), events.Handled)
		redistest.Receive(t, sending)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.SyncLedger(ended, "h"); !errors.Is(err, context.Canceled) {
			t.Errorf("it did not wait: %v", err)
		}
		release()
		noError(t, s.SyncLedger(t.Context(), "h"))
		if standing(t, other, "h", at(1)) != events.Settled {
			t.Error("it is not stored")
		}
	})
}

// A ledger that is damaged holds up its handler alone, and nothing of it is lost.
func TestLedger_SyncLedger_OneHandlerFails(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		begin(t, s, "good")
		begin(t, s, "bad")
		chunk := keyOf(t, s, ns, "bad") + ":0:0"
		if err := s.Client().LPush(ctx, chunk, "x").Err(); err != nil {
			t.Fatal(err)
		}
		sending, hold := make(chan struct{}), make(chan struct{})
		once := sync.OnceFunc(func() { close(sending) })
		s.Client().AddHook(redistest.Hook{Before: func(cmd goredis.Cmder) {
			if isSettle(cmd) && strings.Contains(fmt.Sprint(cmd.Args()[4]), "{bad}") {
				once()
				<-hold
			}
		}})
		s.Settle("bad", at(1), events.Handled)
		redistest.Receive(t, sending)
		s.Settle("bad", at(2), events.Handled) // While the first is on its way.
		close(hold)
		s.Settle("good", at(1), events.Handled)
		noError(t, s.SyncLedger(ctx, "good"))
		for range 2 {
			if err := s.SyncLedger(ctx, "bad"); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
				t.Fatalf("the error is %v; want WRONGTYPE", err)
			}
		}
		for p := 1; p <= 2; p++ {
			if standing(t, s, "bad", at(p)) != events.Settled {
				t.Errorf("position %d, which this process has settled, does not count", p)
			}
		}
		if err := s.Client().Del(ctx, chunk).Err(); err != nil {
			t.Fatal(err)
		}
		noError(t, s.SyncLedger(ctx, "bad"))
		if n := redistest.Must[events.LedgerState](t)(s.LedgerState(ctx, "bad")).Handled; n != 2 {
			t.Errorf("%d events are handled; want 2", n)
		}
	})
}

// A write whose reply is lost is repeated, and counts once.
func TestLedger_Settle_LostReply(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		begin(t, s, "h")
		var lost atomic.Int32
		s.Client().AddHook(redistest.Hook{After: func(cmd goredis.Cmder) {
			if isSettle(cmd) && cmd.Err() == nil && lost.Add(1) == 1 {
				cmd.SetErr(io.ErrUnexpectedEOF)
			}
		}})
		for i := range 100 {
			s.Settle("h", at(i+1), events.Settlement(i%2)) //nolint:gosec // 0 or 1.
		}
		noError(t, s.SyncLedger(ctx, "h"))
		state := redistest.Must[events.LedgerState](t)(s.LedgerState(ctx, "h"))
		if lost.Load() < 2 || state.Handled != 50 || state.Discarded != 50 {
			t.Errorf("after %d writes %d events are handled and %d discarded; want 50 each", lost.Load(), state.Handled, state.Discarded)
		}
	})
}

// A store that is lost is one in which the ledger has not begun: nothing counts as settled.
func TestLedger_LostStore(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		begin(t, s, "h")
		s.Settle("h", at(1), events.Handled)
		noError(t, s.SyncLedger(ctx, "h"))
		if err := s.Client().Del(ctx, keyOf(t, s, ns, "h")).Err(); err != nil {
			t.Fatal(err)
		}
		for p := 1; p <= 2; p++ {
			if got := standing(t, s, "h", at(p)); got != events.NotOwed {
				t.Errorf("the standing of position %d is %d", p, got)
			}
		}
		s.Settle("h", at(2), events.Handled)
		noError(t, s.SyncLedger(ctx, "h"))
		if terms := redistest.Must[[]events.LedgerTerm](t)(s.BeginLedger(ctx, "h", events.LedgerTerm{After: events.Cursor{2}})); len(terms) != 1 {
			t.Errorf("the terms are %v", terms)
		}
		if got := standing(t, s, "h", at(3)); got != events.Open {
			t.Errorf("the standing of the next event is %d", got)
		}
	})
}

// One advance deletes a bounded number of chunks, and the next goes on.
func TestLedger_AdvanceLedger_DeletesInSteps(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		begin(t, s, "h")
		const chunks = 1100
		for i := range chunks {
			s.Settle("h", at(i*events.ChunkPositions+1), events.Handled)
		}
		noError(t, s.SyncLedger(ctx, "h"))
		end := uint64(chunks * events.ChunkPositions)
		var from uint64
		for _, left := range []int{chunks - 1024, 0} {
			to := from + 1
			err := s.AdvanceLedger(ctx, "h", events.LedgerAdvance{From: events.Cursor{from}, Audited: events.Cursor{to}, Watermark: events.Cursor{end}})
			noError(t, err)
			if keys := redistest.Must[[]string](t)(s.Client().Keys(ctx, keyOf(t, s, ns, "h")+":0:*").Result()); len(keys) != left {
				t.Errorf("%d chunks are left; want %d", len(keys), left)
			}
			from = to
		}
	})
}

// An instance that has not attended for its time does not count, and is removed.
func TestLedger_LedgerRound_DeadInstance(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		key := keyOf(t, s, ns, "h") + ":instances"
		if _, err := s.Attend(ctx, "h", "alive", 7); err != nil {
			t.Fatal(err)
		}
		if err := s.Client().HSet(ctx, key, "dead", "1764300000000:3").Err(); err != nil {
			t.Fatal(err)
		}
		want := events.LedgerRound{Cleared: 7, Instances: []string{"alive"}}
		if diff := cmp.Diff(want, redistest.Must[events.LedgerRound](t)(s.LedgerRound(ctx, "h"))); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if left := redistest.Must[map[string]string](t)(s.Client().HGetAll(ctx, key).Result()); len(left) != 1 {
			t.Errorf("left are %v", left)
		}
	})
}

func begin(t testing.TB, s *redis.Store, handler string) {
	t.Helper()
	redistest.Must[[]events.LedgerTerm](t)(s.BeginLedger(t.Context(), handler, events.LedgerTerm{Types: []string{"A"}}))
}

func at(position int) events.LogPosition {
	return events.LogPosition{Position: uint64(position)} //nolint:gosec // It is small.
}

func standing(t testing.TB, s *redis.Store, handler string, at events.LogPosition) events.Standing {
	t.Helper()
	return redistest.Must[events.Standing](t)(s.Standing(t.Context(), handler, at))
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// isSettle reports whether a command runs the script that settles.
func isSettle(cmd goredis.Cmder) bool {
	args := cmd.Args()
	return len(args) > 7 && strings.HasPrefix(fmt.Sprint(args[0]), "eval") && strings.HasSuffix(fmt.Sprint(args[4]), ":places")
}

// isLookup reports whether a command runs the script that looks up.
func isLookup(cmd goredis.Cmder) bool {
	args := cmd.Args()
	return len(args) > 4 && strings.HasPrefix(fmt.Sprint(args[0]), "eval") && strings.HasPrefix(fmt.Sprint(args[4]), fmt.Sprint(args[3])+":0:")
}

// keyOf returns the key of a handler's ledger.
func keyOf(t testing.TB, s *redis.Store, ns, handler string) string {
	return ns + ":ledger:{" + handler + "}:" + redistest.Must[string](t)(s.Epoch(context.Background()))
}

// messageOf returns a message of the log's event.
func messageOf(at events.LogPosition, epoch string) *message.Message {
	msg := message.NewMessage(events.NewID(), nil)
	msg.Metadata[events.MetaLogPartition] = fmt.Sprint(at.Partition)
	msg.Metadata[events.MetaLogPosition] = fmt.Sprint(at.Position)
	msg.Metadata[events.MetaLogEpoch] = epoch
	return msg
}
