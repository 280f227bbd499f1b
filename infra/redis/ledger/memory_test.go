package ledger_test

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// Events that are settled in order, and audited, take less than a bit each: what is left is
// some bytes a partition, however many events there were.
func TestLedger_MemoryOfAnEvent(t *testing.T) {
	t.Parallel()
	ns, url := brokertest.Namespace(t), brokertest.Redis(t)
	brokertest.CleanRedis(t, url, ns)
	s, ctx := redistest.OpenIn(t, url, ns), t.Context()
	begin(t, s, "h")
	const total, audit, batch = 200_000, 10_000, 250
	partitions, most := s.Partitions(), int64(0)
	audited := events.Cursor{}.Clone(partitions)
	for n := 1; n <= total; n++ {
		s.Settle("h", events.LogPosition{Partition: (n - 1) % partitions, Position: uint64((n-1)/partitions) + 1}, events.Handled)
		if n%batch == 0 {
			noError(t, s.SyncLedger(ctx, "h"))
		}
		if n%audit != 0 {
			continue
		}
		most = max(most, memory(t, s.Client(), ns+":ledger:*"))
		to := audited.Clone(0)
		for p := range to {
			to[p] = uint64(n / partitions)
		}
		noError(t, s.AdvanceLedger(ctx, "h", events.LedgerAdvance{From: audited, Audited: to, Watermark: to, Events: audit}))
		audited = to
	}
	state := redistest.Must[events.LedgerState](t)(s.LedgerState(ctx, "h"))
	if state.Handled != total || state.Events != total {
		t.Errorf("%d events are handled of %d; want %d", state.Handled, state.Events, total)
	}
	left := memory(t, s.Client(), ns+":ledger:*")
	t.Logf("%d bytes after %d events, %d at most: %.3f bytes an event, %.2f bits", left, total, most, float64(left)/total, 8*float64(left)/total)
	if most > total/8 {
		t.Errorf("the ledger takes up to %d bytes; at most %d are allowed", most, total/8)
	}
}

// memory returns how many bytes the keys of a pattern take, with all that Redis keeps for them.
func memory(t *testing.T, client goredis.UniversalClient, pattern string) (sum int64) {
	t.Helper()
	for _, key := range redistest.Must[[]string](t)(client.Keys(t.Context(), pattern).Result()) {
		cmd := goredis.NewIntCmd(t.Context(), "memory", "usage", key, "samples", 0)
		_ = client.Process(t.Context(), cmd)
		sum += redistest.Must[int64](t)(cmd.Result())
	}
	return sum
}
