package eventlog_test

import (
	"fmt"
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
)

// An event in the log takes at most 350 bytes, where its body on the wire alone
// has 240.
func TestLog_MemoryOfAnEvent(t *testing.T) {
	t.Parallel()
	ns, url := brokertest.Namespace(t), brokertest.Redis(t)
	brokertest.CleanRedis(t, url, ns)
	s, ctx := redistest.OpenIn(t, url, ns), t.Context()
	const total = 10_000
	for i := range total / 10 {
		redistest.Must[events.Outcome](t)(s.Append(ctx, redistest.Decision(events.NewID(), fmt.Sprint(i), 0, 10)))
	}
	wire := len(events.Encode(redistest.Decision(events.NewID(), "c", 0, 1).Events[0]))
	var memory int64
	for p := range s.Partitions() {
		cmd := goredis.NewIntCmd(ctx, "memory", "usage", fmt.Sprintf("%s:{p%d}:log", ns, p), "samples", 0)
		_ = s.Client().Process(ctx, cmd)
		memory += redistest.Must[int64](t)(cmd.Result())
	}
	each := float64(memory) / total
	t.Logf("%.0f bytes an event, %d on the wire", each, wire)
	if each > 350 {
		t.Errorf("an event takes %.0f bytes; at most 350 are allowed", each)
	}
}
