package dispatcher_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/infra/dispatcher"
)

// source is a subscriber that produces n messages as fast as it can, through a
// dispatcher or, as the limit to compare with, directly.
type source struct {
	n, keys int
	keyed   bool
	done    chan struct{}
}

func (s *source) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	keys := make([]string, max(1, s.keys))
	for i := range s.keys {
		keys[i] = "user-" + strconv.Itoa(i)
	}
	go func() {
		if !s.keyed {
			var ended sync.WaitGroup
			for range s.n {
				ended.Add(1)
				out <- message.NewMessage("id", nil)
				ended.Done()
			}
			ended.Wait()
		} else {
			d := dispatcher.New(dispatcher.Config[int]{}, out)
			for i := range s.n {
				_ = d.Push(context.Background(), keys[i%len(keys)], message.NewMessage("id", nil), i)
			}
			for d.InFlight() > 0 {
				runtime.Gosched()
			}
			_ = d.Drain(context.Background())
		}
		close(s.done)
		close(out)
	}()
	return out, nil
}

func (s *source) Close() error { return nil }

// BenchmarkRouter measures subscriber → Watermill's router → ack, bare and
// with the dispatcher in between, in messages a second.
func BenchmarkRouter(b *testing.B) {
	for _, c := range []struct {
		name  string
		keyed bool
		keys  int
	}{{"bare", false, 0}, {"keyed/no-key", true, 0}, {"keyed/1000-keys", true, 1000}, {"keyed/10-keys", true, 10}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			r, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
			if err != nil {
				b.Fatal(err)
			}
			s := &source{n: b.N, keys: c.keys, keyed: c.keyed, done: make(chan struct{})}
			r.AddConsumerHandler("h", "t", s, func(*message.Message) error { return nil })
			go func() { _ = r.Run(context.Background()) }()
			<-s.done
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
			_ = r.Close()
		})
	}
}
