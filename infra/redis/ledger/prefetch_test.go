package ledger_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// After one lookup ahead nothing of the batch is looked up again.
func TestLedger_Prefetch_SparesLookups(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, other, ctx := redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns), t.Context()
		begin(t, s, "h")
		var msgs []*message.Message
		for i := 4000; i < 4200; i++ {
			msgs = append(msgs, messageOf(at(i), redistest.Must[string](t)(s.Epoch(ctx))))
			if i%3 == 0 {
				other.Settle("h", at(i), events.Handled)
			}
		}
		noError(t, other.SyncLedger(ctx, "h"))
		standing(t, s, "h", at(1)) // The handler uses the ledger.
		// A busy machine may let what was looked up grow old; then it is tried again.
		redistest.Eventually(t, "no event is looked up by itself", func() bool {
			var lookups atomic.Int32
			counting := &atomic.Bool{}
			counting.Store(true)
			defer counting.Store(false)
			s.Client().AddHook(redistest.Hook{Before: func(cmd goredis.Cmder) {
				if counting.Load() && isLookup(cmd) {
					lookups.Add(1)
				}
			}})
			if others := s.Ledger.Prefetch(ctx, "h", msgs); len(others) > 0 {
				t.Fatalf("%d messages are not looked up", len(others))
			}
			ahead := lookups.Load()
			for i := 4000; i < 4200; i++ {
				want := map[bool]events.Standing{true: events.Settled, false: events.Open}[i%3 == 0]
				if got := standing(t, s, "h", at(i)); got != want {
					t.Fatalf("the standing of position %d is %d; want %d", i, got, want)
				}
			}
			return lookups.Load() == ahead
		})
	})
}

// Only events of the log are looked up in the ledger, and only for handlers that use it.
func TestLedger_Prefetch_ReturnsOtherMessages(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s := redistest.Open(t, url)
		begin(t, s, "h")
		epoch := redistest.Must[string](t)(s.Epoch(t.Context()))
		ours := messageOf(at(1), epoch)
		if others := s.Ledger.Prefetch(t.Context(), "h", []*message.Message{ours}); len(others) != 1 {
			t.Error("it is looked up for a handler that has never asked")
		}
		standing(t, s, "h", at(1))
		foreign := []*message.Message{
			message.NewMessage(events.NewID(), nil), messageOf(at(1), "theirs"), messageOf(at(0), epoch),
			messageOf(events.LogPosition{Partition: 16, Position: 1}, epoch), messageOf(events.LogPosition{Partition: -1, Position: 1}, epoch),
			messageOf(at(1), epoch), messageOf(at(1), epoch),
		}
		foreign[5].Metadata[events.MetaLogPartition] = "x"
		foreign[6].Metadata[events.MetaLogPosition] = "99999999999999999999"
		others := s.Ledger.Prefetch(t.Context(), "h", append([]*message.Message{ours}, foreign...))
		if len(others) != len(foreign) {
			t.Fatalf("%d messages are returned; want %d", len(others), len(foreign))
		}
		for i := range others {
			if others[i] != foreign[i] {
				t.Errorf("message %d is another", i)
			}
		}
	})
}

// The store looks up the log's events in the ledger, and other messages in the inbox.
func TestStore_Prefetch_LedgerAndInbox(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		begin(t, s, "h")
		foreign := message.NewMessage(events.NewID(), nil)
		standing(t, s, "h", at(1))
		redistest.Must[bool](t)(s.Seen(ctx, "h", foreign.UUID))
		var lookups, ids atomic.Int32
		s.Client().AddHook(redistest.Hook{Before: func(cmd goredis.Cmder) {
			switch args := cmd.Args(); {
			case isLookup(cmd):
				lookups.Add(1)
			case args[0] == "smismember":
				ids.Store(int32(len(args) - 2)) //nolint:gosec // It is small.
			}
		}})
		epoch := redistest.Must[string](t)(s.Epoch(ctx))
		s.Prefetch(ctx, "h", []*message.Message{messageOf(at(1), epoch), foreign, messageOf(at(2), epoch)})
		if lookups.Load() == 0 || ids.Load() != 1 {
			t.Errorf("%d lookups in the ledger, and of %d ids in the inbox; want some and 1", lookups.Load(), ids.Load())
		}
	})
}

// What is looked up ahead before an event is settled, and arrives afterwards, does not say
// that the event is open.
func TestLedger_Prefetch_OlderThanSettle(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		begin(t, s, "h")
		if standing(t, s, "h", at(7)) != events.Open {
			t.Fatal("it is not open")
		}
		lookedUp, hold := make(chan struct{}, 1), make(chan struct{})
		release := sync.OnceFunc(func() { close(hold) })
		defer release()
		var held atomic.Bool
		s.Client().AddHook(redistest.Hook{After: func(cmd goredis.Cmder) {
			if isLookup(cmd) && cmd.Err() == nil && held.CompareAndSwap(false, true) {
				lookedUp <- struct{}{}
				<-hold
			}
		}})
		prefetched := make(chan struct{})
		epoch := redistest.Must[string](t)(s.Epoch(ctx))
		go func() {
			s.Prefetch(ctx, "h", []*message.Message{messageOf(at(7), epoch), messageOf(at(8), epoch)})
			close(prefetched)
		}()
		redistest.Receive(t, lookedUp)
		s.Settle("h", at(7), events.Handled)
		noError(t, s.SyncLedger(ctx, "h"))
		release()
		redistest.Receive(t, prefetched)
		if got := standing(t, s, "h", at(7)); got != events.Settled {
			t.Errorf("the standing of what this process has settled is %d", got)
		}
		if got := standing(t, s, "h", at(8)); got != events.Open {
			t.Errorf("the standing of the other event is %d", got)
		}
	})
}
