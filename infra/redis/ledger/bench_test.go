package ledger_test

import (
	"context"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// batch is how many messages a subscriber reads at a time.
const batch = 256

// BenchmarkLedger handles events of 16 partitions in batches, as a subscriber and the router
// do: look up ahead, ask for each, settle each, and sync before the acknowledgements. An
// operation is one event.
func BenchmarkLedger(b *testing.B) {
	benchmarkBatches(b, func(b *testing.B, s *redis.Store) {
		ctx := context.Background()
		if _, err := s.BeginLedger(ctx, "h", events.LedgerTerm{Types: []string{"A"}}); err != nil {
			b.Fatal(err)
		}
		standing := func(at events.LogPosition) events.Standing {
			return redistest.Must[events.Standing](b)(s.Standing(ctx, "h", at))
		}
		standing(events.LogPosition{Position: 1 << 40})
		var next uint64
		audited := events.Cursor{}.Clone(s.Partitions())
		b.ResetTimer()
		for done := 0; done < b.N; done += batch {
			msgs, at := messages(s.Partitions(), &next)
			s.Prefetch(ctx, "h", msgs)
			for i := range msgs {
				if standing(at[i]) != events.Open {
					b.Fatal("an event is settled")
				}
				s.Settle("h", at[i], events.Handled)
			}
			if err := s.SyncLedger(ctx, "h"); err != nil {
				b.Fatal(err)
			}
			if done/batch%64 == 63 {
				to := audited.Clone(0)
				for p := range to {
					to[p] = next / uint64(s.Partitions())
				}
				if err := s.AdvanceLedger(ctx, "h", events.LedgerAdvance{From: audited, Audited: to, Watermark: to, Events: 64 * batch}); err != nil {
					b.Fatal(err)
				}
				audited = to
			}
		}
	})
}

// BenchmarkInbox does the same with the inbox, which has no sync: what it writes meanwhile is
// not waited for.
func BenchmarkInbox(b *testing.B) {
	benchmarkBatches(b, func(b *testing.B, s *redis.Store) {
		ctx := context.Background()
		seen := func(id string) bool { return redistest.Must[bool](b)(s.Seen(ctx, "h", id)) }
		seen(events.NewID())
		var next uint64
		b.ResetTimer()
		for done := 0; done < b.N; done += batch {
			msgs, _ := messages(s.Partitions(), &next)
			s.Inbox.Prefetch(ctx, "h", msgs)
			for _, msg := range msgs {
				if seen(msg.UUID) {
					b.Fatal("a message is seen")
				}
				if err := s.Record(ctx, "h", msg.UUID); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkMessages is what both spend on making messages.
func BenchmarkMessages(b *testing.B) {
	benchmarkBatches(b, func(b *testing.B, s *redis.Store) {
		var next uint64
		b.ResetTimer()
		for done := 0; done < b.N; done += batch {
			messages(s.Partitions(), &next)
		}
	})
}

// messages returns the messages of the next events of a log.
func messages(partitions int, next *uint64) ([]*message.Message, []events.LogPosition) {
	msgs, at := make([]*message.Message, batch), make([]events.LogPosition, batch)
	for i := range msgs {
		p := int(*next) % partitions //nolint:gosec // It is small.
		at[i] = events.LogPosition{Partition: p, Position: *next/uint64(partitions) + 1}
		msgs[i] = message.NewMessage(events.NewID(), nil)
		msgs[i].Metadata[events.MetaLogPartition] = strconv.Itoa(p)
		msgs[i].Metadata[events.MetaLogPosition] = strconv.FormatUint(at[i].Position, 10)
		*next++
	}
	return msgs, at
}

// benchmarkBatches runs f on a Redis of its own, and reports the processor time that this
// process and Redis spend on an event.
func benchmarkBatches(b *testing.B, f func(*testing.B, *redis.Store)) {
	b.Helper()
	url := brokertest.StartRedis(b).URL()
	watch := redistest.OpenIn(b, url, "watch")
	s := redistest.Must[*redis.Store](b)(redis.Open(context.Background(), redis.Config{URL: url, Namespace: "bench"}))
	b.ReportAllocs()
	client, server := clientTime(b), serverTime(b, watch)
	f(b, s)
	if err := s.Close(); err != nil { // It writes what the inbox writes behind, which counts.
		b.Fatal(err)
	}
	b.ReportMetric(float64((clientTime(b)-client).Nanoseconds())/float64(b.N), "client-ns/op")
	b.ReportMetric(float64((serverTime(b, watch)-server).Nanoseconds())/float64(b.N), "server-ns/op")
}

func clientTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func serverTime(b *testing.B, s *redis.Store) time.Duration {
	b.Helper()
	info := redistest.Must[map[string]map[string]string](b)(s.Client().InfoMap(context.Background(), "cpu").Result())["CPU"]
	var total time.Duration
	for _, name := range []string{"used_cpu_user_main_thread", "used_cpu_sys_main_thread"} {
		seconds, err := strconv.ParseFloat(info[name], 64)
		if err != nil {
			b.Fatal(name, err)
		}
		total += time.Duration(seconds * float64(time.Second))
	}
	return total
}
