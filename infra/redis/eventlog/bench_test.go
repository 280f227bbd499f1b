package eventlog_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
)

// Appends by 50 writers, compared with the same script called by the raw client.
func BenchmarkAppend(b *testing.B) {
	url := brokertest.Redis(b)
	b.Run("pitwheel", func(b *testing.B) {
		s := redistest.Open(b, url)
		redistest.Writers(b, func() error {
			_, err := s.Append(context.Background(), redistest.Decision(events.NewID(), events.NewID(), 0, 1))
			return err
		})
	})
	b.Run("client", func(b *testing.B) {
		opts, err := goredis.ParseURL(url)
		if err != nil {
			b.Fatal(err)
		}
		opts.PoolSize = 50
		c := goredis.NewClient(opts)
		defer func() { _ = c.Close() }()
		ns := brokertest.Namespace(b)
		brokertest.CleanRedis(b, url, ns)
		script := goredis.NewScript(`local o = redis.call('GET', KEYS[1]) if o then return o end
			local v = redis.call('LLEN', KEYS[2]) if v ~= tonumber(ARGV[1]) then return v end
			local id = redis.call('XADD', KEYS[3], '*', 't', ARGV[2], 'd', ARGV[3])
			redis.call('RPUSH', KEYS[2], id) redis.call('SET', KEYS[1], ARGV[4], 'EX', 604800) return -1`)
		if err := script.Load(context.Background(), c).Err(); err != nil {
			b.Fatal(err)
		}
		redistest.Writers(b, func() error {
			a := redistest.Decision(events.NewID(), events.NewID(), 0, 1)
			return script.EvalSha(context.Background(), c, []string{ns + ":{0}:o:" + a.Outcome.CommandID, ns + ":{0}:i:" + a.AggregateID, ns + ":{0}:log"},
				0, "USER_CREATED", []byte(a.Events[0].Data), `{"status":"accepted"}`).Err()
		})
	})
}

// Reading the whole log in batches of 1,000 from each partition.
func BenchmarkRead(b *testing.B) {
	s := redistest.Open(b, brokertest.Redis(b))
	ctx := context.Background()
	const each = 100
	for i := range 500 {
		if _, err := s.Append(ctx, redistest.Decision(fmt.Sprint("u", i), events.NewID(), 0, each)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	cursor, read := events.Cursor(nil).Clone(s.Partitions()), 0
	for read < b.N {
		got, err := s.Read(ctx, cursor, 1000, 0)
		if err != nil {
			b.Fatal(err)
		}
		if len(got) == 0 {
			clear(cursor)
		}
		for _, e := range got {
			cursor[e.Partition] = e.Position
		}
		read += len(got)
	}
	b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "events/s")
}
