package streams_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/router"
)

// flushing flushes a subscriber in the background.
func flushing(t *testing.T, sub router.Subscriber) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- sub.(router.Flusher).Flush(t.Context()) }()
	return done
}

func wantPending(t *testing.T, what string, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatalf("Flush returned %v though %s", err, what)
	default:
	}
}

// What is read ahead of a full window, was in a lost reply, or was left by a consumer that is
// gone, is received as well, and a flush waits for it.
func TestSubscriber_Flush_WaitsForWhatIsNotYetDispatched(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, other, ctx := redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns), t.Context()
		cfg := router.Subscription{Topic: "user.events", Queue: "q", Concurrency: 1, Prefetch: 1, Key: func(*message.Message) string { return "" }}
		leftBehind(t, s, ns, cfg, "gone", "left")
		if err := s.Client().Set(ctx, ns+":alive:gone", "left", 0).Err(); err != nil {
			t.Fatal(err)
		}
		var lost atomic.Bool
		other.Client().AddHook(redistest.Hook{After: func(cmd goredis.Cmder) {
			// The first reply that has something new in it is lost.
			if slice, ok := cmd.(*goredis.SliceCmd); ok && cmd.Err() == nil && len(slice.Val()) > 0 && lost.CompareAndSwap(false, true) {
				cmd.SetErr(io.EOF)
			}
		}})
		sub := redistest.Subscriber(t, other, cfg)
		out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
		for n := range 5 {
			publishAll(t, s, fmt.Sprint(n))
		}
		first := redistest.Next(t, out)
		var received int64
		redistest.Eventually(t, "some are received beyond the window", func() bool {
			received = redistest.Pending(t, s, ns+":user.events", "q")
			return received >= 4
		})
		done := flushing(t, sub)
		first.Ack()
		for n := range received - 1 {
			msg := redistest.Next(t, out)
			if n < received-2 {
				wantPending(t, "it has received more", done)
			}
			msg.Ack()
		}
		go func() {
			for msg := range out {
				msg.Ack()
			}
		}()
		if err := redistest.Receive(t, done); err != nil {
			t.Errorf("Flush: %v", err)
		}
		if !lost.Load() {
			t.Error("no reply was lost")
		}
	})
}

// After a flush, everything acked is acknowledged; and none of it while BeforeAck fails.
func TestSubscriber_Flush_SendsAcknowledgements(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		var failing atomic.Bool
		failing.Store(true)
		errNotNow := errors.New("not now")
		sub := redistest.Subscriber(t, s, router.Subscription{Topic: "user.events", Queue: "q", BeforeAck: func(context.Context) error {
			if failing.Load() {
				return errNotNow
			}
			return nil
		}})
		out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
		publishAll(t, s, "1", "2", "3")
		for range 3 {
			redistest.Next(t, out).Ack()
		}
		if err := redistest.Receive(t, flushing(t, sub)); !errors.Is(err, errNotNow) {
			t.Errorf("a flush while BeforeAck fails: %v", err)
		}
		if n := redistest.Pending(t, s, ns+":user.events", "q"); n != 3 {
			t.Errorf("%d messages are pending; want all 3 as long as BeforeAck fails", n)
		}
		failing.Store(false)
		if err := redistest.Receive(t, flushing(t, sub)); err != nil {
			t.Errorf("Flush: %v", err)
		}
		if n := redistest.Pending(t, s, ns+":user.events", "q"); n != 0 {
			t.Errorf("%d messages are pending after a flush", n)
		}
	})
}

// While acknowledgements cannot be sent, what waits is bounded: nothing more is received, and
// Ready says why.
func TestSubscriber_BeforeAck_BoundsWhatWaits(t *testing.T) {
	t.Parallel()
	redistest.OnEmbedded(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		errNotNow := errors.New("not now")
		var failing atomic.Bool
		failing.Store(true)
		sub := redistest.Subscriber(t, s, router.Subscription{
			Topic: "user.events", Queue: "q", Concurrency: 64,
			Key: func(*message.Message) string { return "" }, // Of one key, more would wait in memory.
			BeforeAck: func(context.Context) error {
				if failing.Load() {
					return errNotNow
				}
				return nil
			},
		})
		out := redistest.Must[<-chan *message.Message](t)(sub.Subscribe(ctx, ""))
		const n = 8000 // Beyond 4,096 that wait, and what is read ahead.
		var ids []string
		for i := range n {
			ids = append(ids, fmt.Sprint(i))
		}
		publishAll(t, s, ids...)
		handled := make(chan struct{}, n)
		go func() {
			for msg := range out {
				msg.Ack()
				handled <- struct{}{}
			}
		}()
		redistest.Eventually(t, "Ready says that acknowledgements are not sent", func() bool { return errors.Is(sub.Ready(), errNotNow) })
		if got := len(handled); got == n {
			t.Error("everything was received")
		}
		failing.Store(false)
		for range n {
			redistest.Receive(t, handled)
		}
	})
}
