package rabbitmq_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/router"
)

// body is as long as that of cmd/bench.
var body = make([]byte, 230)

func queueType(kind string) func(*rabbitmq.Config) {
	return func(c *rabbitmq.Config) { c.QueueType = kind }
}

// full returns a message with all the metadata that events of the framework have.
func full(i int) *message.Message {
	msg := message.NewMessage(watermill.NewUUID(), body)
	key := "user-" + strconv.Itoa(i%1000)
	msg.Metadata = message.Metadata{
		events.MetaType: "USER_CREATED", events.MetaTimestamp: "2026-01-02T03:04:05.678Z",
		events.MetaAggregate: "user", events.MetaAggregateID: key, events.MetaVersion: "1",
		events.MetaCorrelationID: msg.UUID, events.MetaCausationID: msg.UUID, events.MetaSchemaVersion: "1",
	}
	return msg
}

func fill(b *testing.B, n *bench) {
	b.Helper()
	const batch = 2000
	for i := 0; i < b.N; i += batch {
		msgs := make([]*message.Message, min(batch, b.N-i))
		for j := range msgs {
			msgs[j] = full(i + j)
		}
		if err := n.broker.Publisher().Publish("user.events", msgs...); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConsume compares the raw client (prefetch 256, an ack for every 64)
// with the subscriber and Watermill's router behind it.
func BenchmarkConsume(b *testing.B) {
	for _, kind := range []string{rabbitmq.Quorum, rabbitmq.Classic} {
		b.Run(kind+"/raw", func(b *testing.B) {
			n := newBench(b, queueType(kind))
			n.subscriber()
			fill(b, n)
			conn, ch := n.direct(b)
			defer func() { _ = conn.Close() }()
			if err := ch.Qos(256, 0, false); err != nil {
				b.Fatal(err)
			}
			m := begin(b)
			deliveries, err := ch.Consume(n.ns+".q", "", false, false, false, false, nil)
			if err != nil {
				b.Fatal(err)
			}
			for i := 1; i <= b.N; i++ {
				d := <-deliveries
				if i%64 == 0 || i == b.N {
					_ = d.Ack(true)
				}
			}
			m.report(b)
		})
		b.Run(kind+"/keyed", func(b *testing.B) {
			n := newBench(b, queueType(kind), direct)
			sub := n.subscriber(func(c *router.Subscription) {
				c.Key = func(msg *message.Message) string { return msg.Metadata[events.MetaAggregateID] }
			})
			fill(b, n)
			r, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
			if err != nil {
				b.Fatal(err)
			}
			var seen atomic.Int64
			done := make(chan struct{})
			r.AddConsumerHandler("h", "user.events", sub, func(*message.Message) error {
				if seen.Add(1) == int64(b.N) {
					close(done)
				}
				return nil
			})
			m := begin(b)
			go func() { _ = r.Run(context.Background()) }()
			<-done
			m.report(b)
			_ = r.Close()
		})
	}
}

// BenchmarkPublish compares the raw client, pipelined, with the publisher.
func BenchmarkPublish(b *testing.B) {
	for _, kind := range []string{rabbitmq.Quorum, rabbitmq.Classic} {
		b.Run(kind+"/raw", func(b *testing.B) {
			n := newBench(b, queueType(kind))
			n.subscriber()
			conn, ch := n.direct(b)
			defer func() { _ = conn.Close() }()
			if err := ch.Confirm(false); err != nil {
				b.Fatal(err)
			}
			m := begin(b)
			const window = 1024
			confirms := make([]*amqp.DeferredConfirmation, 0, window)
			for i := range b.N {
				c, err := ch.PublishWithDeferredConfirm(n.ns+".user.events", "USER_CREATED", false, false, amqp.Publishing{
					MessageId: watermill.NewUUID(), Body: body, DeliveryMode: amqp.Persistent, ContentType: "application/json",
				})
				if err != nil {
					b.Fatal(err)
				}
				if len(confirms) < window {
					confirms = append(confirms, c)
					continue
				}
				confirms[i%window].Wait()
				confirms[i%window] = c
			}
			for _, c := range confirms {
				c.Wait()
			}
			m.report(b)
		})
		b.Run(kind+"/one-goroutine", func(b *testing.B) {
			n := newBench(b, queueType(kind), direct)
			n.subscriber()
			m := begin(b)
			fill(b, n)
			m.report(b)
		})
		b.Run(kind+"/16-goroutines", func(b *testing.B) {
			n := newBench(b, queueType(kind), direct)
			n.subscriber()
			p := n.broker.Publisher()
			m := begin(b)
			var all sync.WaitGroup
			var next atomic.Int64
			for range 16 {
				all.Go(func() {
					for {
						i := next.Add(8)
						if i-8 >= int64(b.N) {
							return
						}
						msgs := make([]*message.Message, 8)
						for j := range msgs {
							msgs[j] = full(j)
						}
						if err := p.Publish("user.events", msgs...); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			m.report(b)
		})
	}
}

// meter measures time, and the processor time of this process, which is what a
// busy machine leaves comparable.
type meter struct{ cpu time.Duration }

func begin(b *testing.B) meter {
	b.Helper()
	b.ResetTimer()
	return meter{processorTime()}
}

func (m meter) report(b *testing.B) {
	b.Helper()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/max(b.Elapsed(), time.Nanosecond).Seconds(), "msgs/s")
	b.ReportMetric(float64(processorTime()-m.cpu)/float64(b.N), "cpu-ns/op")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
