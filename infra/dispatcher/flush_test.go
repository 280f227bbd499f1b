package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/infra/dispatcher"
)

func wantBlocked(t *testing.T, what string, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatalf("%s ended: %v", what, err)
	case <-time.After(20 * time.Millisecond):
	}
}

func flush(t *testing.T, d *dispatcher.Dispatcher[string]) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- d.Flush(t.Context()) }()
	return done
}

func ended(t *testing.T, what string, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(3 * time.Minute):
		t.Fatalf("%s did not end", what)
		return nil
	}
}

func TestDispatcher_Flush(t *testing.T) {
	t.Parallel()
	var s record
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{Done: s.done, MinBackoff: time.Millisecond}, out)
	if err := d.Flush(t.Context()); err != nil {
		t.Fatalf("with nothing accepted: %v", err)
	}
	push(t, d, "a", "running")
	running := receive(t, out)
	push(t, d, "a", "behind")
	first := flush(t, d)
	wantBlocked(t, "a flush with two messages in flight", first)

	// What is accepted later is not waited for, and does not help.
	push(t, d, "b", "later")
	later := receive(t, out)
	second := flush(t, d)
	push(t, d, "c", "last")
	receive(t, out).Ack()
	later.Ack()
	running.Ack()
	behind := receive(t, out)
	wantBlocked(t, "a flush with a message that is not acked", first)
	wantBlocked(t, "a later flush with a message that is not acked", second)
	behind.Nack()
	again := receive(t, out)
	wantBlocked(t, "a flush with a message that was nacked", first)
	again.Ack()
	for _, done := range []<-chan error{first, second} {
		if err := ended(t, "the flush", done); err != nil {
			t.Errorf("Flush: %v", err)
		}
	}
	s.want(t, "behind", true)

	// A drain gives back what is left, and nobody waits for it any longer.
	push(t, d, "a", "stuck")
	receive(t, out)
	third := flush(t, d)
	wantBlocked(t, "a flush with a stuck message", third)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a flush whose context has ended: %v", err)
	}
	if err := d.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain: %v", err)
	}
	if err := ended(t, "the flush", third); err != nil {
		t.Errorf("a flush that a drain ends: %v", err)
	}
	s.want(t, "stuck", false)
}

// Whatever is pushed and handled at the same time, after a flush everything is done that was
// accepted before it.
func TestDispatcher_Flush_WaitsForAllAcceptedBefore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ops := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 60).Draw(t, "pushes to keys, or a flush where 0")
		var mu sync.Mutex
		done := map[int]bool{}
		out := make(chan *message.Message)
		d := dispatcher.New(dispatcher.Config[int]{Concurrency: 3, Done: func(n int, _ bool) {
			mu.Lock()
			defer mu.Unlock()
			done[n] = true
		}}, out)
		var router, flushes sync.WaitGroup
		router.Go(func() {
			for msg := range out {
				msg.Ack()
			}
		})
		for n, key := range ops {
			if key > 0 {
				if err := d.Push(context.Background(), fmt.Sprint(key), message.NewMessage("", nil), n); err != nil {
					t.Fatal(err)
				}
				continue
			}
			flushes.Go(func() {
				if err := d.Flush(context.Background()); err != nil {
					t.Errorf("Flush: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				for earlier, key := range ops[:n] {
					if key > 0 && !done[earlier] {
						t.Errorf("the flush at %d ended before %d was done", n, earlier)
					}
				}
			})
		}
		flushes.Wait()
		_ = d.Drain(context.Background())
		close(out)
		router.Wait()
	})
}
