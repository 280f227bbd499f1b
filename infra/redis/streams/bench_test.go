package streams_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
)

// body is as long as that of cmd/bench: 230 bytes.
var body = []byte(`{"id":"0190b5d2-7c1f-7cc3-98c4-dc0c0c07398f","type":"USER_CREATED","timestamp":"2026-01-02T03:04:05.678Z","data":{"userId":"0190b5d2-7c1f-7cc3-98c4-dc0c0c07398e","email":"ada.lovelace@example.com","name":"` + strings.Repeat("a", 22) + `"}}`)

func benchMessage(i int) *message.Message {
	msg := message.NewMessage(events.NewID(), body)
	msg.Metadata = message.Metadata{
		events.MetaType: "USER_CREATED", events.MetaTimestamp: "2026-01-02T03:04:05.678Z", events.MetaAggregate: "user",
		events.MetaAggregateID: fmt.Sprintf("0190b5d2-7c1f-7cc3-98c4-%012d", i%1000), events.MetaVersion: "1",
		events.MetaCorrelationID: "0190b5d2-7c1f-7cc3-98c4-dc0c0c07398d", events.MetaCausationID: "0190b5d2-7c1f-7cc3-98c4-dc0c0c07398c",
		events.MetaSchemaVersion: "1", events.MetaAppID: "pitwheel",
	}
	return msg
}

func rawClient(b *testing.B) *goredis.Client {
	b.Helper()
	opts, err := goredis.ParseURL(brokertest.Redis(b))
	if err != nil {
		b.Fatal(err)
	}
	c := goredis.NewClient(opts)
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// Publishing in batches of 256, compared with the raw client's pipeline of the body alone.
func BenchmarkStreamPublish(b *testing.B) {
	const batch = 256
	b.Run("pitwheel", func(b *testing.B) {
		s := redistest.Open(b, brokertest.Redis(b))
		p := s.Publisher()
		msgs := make([]*message.Message, batch)
		for i := range msgs {
			msgs[i] = benchMessage(i)
		}
		b.ReportAllocs()
		for n := 0; n < b.N; n += batch {
			if err := p.Publish("user.events", msgs...); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	})
	b.Run("client", func(b *testing.B) {
		c, ns := rawClient(b), brokertest.Namespace(b)
		brokertest.CleanRedis(b, brokertest.Redis(b), ns)
		b.ReportAllocs()
		for n := 0; n < b.N; n += batch {
			pipe := c.Pipeline()
			for range batch {
				pipe.XAdd(context.Background(), &goredis.XAddArgs{Stream: ns + ":s", Values: []any{"body", body}})
			}
			if _, err := pipe.Exec(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	})
}

// Consuming with a handler that does nothing, compared with XREADGROUP of 256 with one
// XACK for each read, of entries with the body alone.
func BenchmarkStreamConsume(b *testing.B) {
	b.Run("pitwheel", func(b *testing.B) {
		_, out := filled(b)
		b.ReportAllocs()
		b.ResetTimer()
		handle(b, out, func(*message.Message) {})
	})
	b.Run("pitwheel and inbox", func(b *testing.B) {
		s, out := filled(b)
		b.ReportAllocs()
		b.ResetTimer()
		handle(b, out, func(msg *message.Message) {
			if seen, err := s.Seen(msg.Context(), "h", msg.UUID); seen || err != nil {
				b.Errorf("%v, %v", seen, err)
			}
			if err := s.Record(msg.Context(), "h", msg.UUID); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("client", func(b *testing.B) {
		c, ns, ctx := rawClient(b), brokertest.Namespace(b), context.Background()
		brokertest.CleanRedis(b, brokertest.Redis(b), ns)
		stream := ns + ":s"
		for n := 0; n < b.N; n += 256 {
			pipe := c.Pipeline()
			for range 256 {
				pipe.XAdd(ctx, &goredis.XAddArgs{Stream: stream, Values: []any{"body", body}})
			}
			if _, err := pipe.Exec(ctx); err != nil {
				b.Fatal(err)
			}
		}
		if err := c.XGroupCreate(ctx, stream, "g", "0").Err(); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.ResetTimer()
		for n := 0; n < b.N; {
			got, err := c.XReadGroup(ctx, &goredis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{stream, ">"}, Count: 256}).Result()
			if err != nil {
				b.Fatal(err)
			}
			ids := make([]string, 0, 256)
			for _, m := range got[0].Messages {
				ids = append(ids, m.ID)
			}
			if err := c.XAck(ctx, stream, "g", ids...).Err(); err != nil {
				b.Fatal(err)
			}
			n += len(ids)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	})
}

func fill(b *testing.B, p message.Publisher, n int) {
	b.Helper()
	for done := 0; done < n; {
		var msgs []*message.Message
		for range min(512, n-done) {
			msgs = append(msgs, benchMessage(done+len(msgs)))
		}
		if err := p.Publish("user.events", msgs...); err != nil {
			b.Fatal(err)
		}
		done += len(msgs)
	}
}

// filled subscribes to a stream of b.N messages.
func filled(b *testing.B) (*redis.Store, <-chan *message.Message) {
	b.Helper()
	s := redistest.Open(b, brokertest.Redis(b))
	sub := redistest.Subscriber(b, s, router.Subscription{Handler: "h", Topic: "user.events", Types: []string{"USER_CREATED"}, Queue: "h", Concurrency: 64})
	if err := sub.Declare(context.Background()); err != nil {
		b.Fatal(err)
	}
	fill(b, s.Publisher(), b.N)
	out, err := sub.Subscribe(context.Background(), "")
	if err != nil {
		b.Fatal(err)
	}
	return s, out
}

// handle takes b.N messages and handles each in a goroutine of its own, as the
// router does.
func handle(b *testing.B, out <-chan *message.Message, f func(*message.Message)) {
	b.Helper()
	var all sync.WaitGroup
	for range b.N {
		msg := <-out
		all.Go(func() {
			f(msg)
			msg.Ack()
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}
