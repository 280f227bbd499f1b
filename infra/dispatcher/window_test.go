package dispatcher_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/infra/dispatcher"
)

// accepts reports whether Push accepts a delivery without waiting.
func accepts(d *dispatcher.Dispatcher[string], key, id string, payload []byte) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return d.Push(ctx, key, message.NewMessage(id, payload), id) == nil
}

// One key with much to do delays no other, as long as its messages fit into the overflow.
func TestDispatcher_HotKeyDelaysNoOther(t *testing.T) {
	t.Parallel()
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{Concurrency: 2, Window: 1024}, out)
	const hot = 1500
	for i := range hot {
		if !accepts(d, "hot", fmt.Sprint("hot", i), nil) {
			t.Fatalf("message %d of a hot key is not accepted", i)
		}
	}
	first := receive(t, out)
	for i := range 3 {
		id := fmt.Sprint("quiet", i)
		if !accepts(d, "quiet", id, nil) {
			t.Fatalf("%s is not accepted beside a hot key", id)
		}
		msg := receive(t, out)
		if msg.UUID != id {
			t.Errorf("got %s; want %s", msg.UUID, id)
		}
		msg.Ack()
	}
	first.Ack()
	for i := range hot - 1 {
		msg := receive(t, out)
		if want := fmt.Sprint("hot", i+1); msg.UUID != want {
			t.Fatalf("got %s; want %s", msg.UUID, want)
		}
		msg.Ack()
	}
	if err := d.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The overflow is bounded in bytes, too; the window is not.
func TestDispatcher_OverflowIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{Window: 16}, out)
	large := make([]byte, 20<<20) // They all share it.
	for i, want := range []bool{true, true, true, false} {
		if got := accepts(d, "hot", fmt.Sprint(i), large); got != want {
			t.Errorf("20 MiB are accepted after %d such: %v", i, got)
		}
	}
	if !accepts(d, "hot", "small", []byte("x")) || !accepts(d, "quiet", "large", large) {
		t.Error("what fits is not accepted")
	}
	if err := d.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What is accepted, and in which order it is delivered, is what a model says: a key has a
// sixteenth of the window, what it has more is in the overflow, and the rest waits.
func TestDispatcher_SharesAndOverflow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.IntRange(1, 64).Draw(t, "window")
		overflow := rapid.IntRange(1, 20).Draw(t, "overflow")
		share := max(1, window/16)
		out := make(chan *message.Message)
		d := dispatcher.New(dispatcher.Config[string]{Concurrency: 3, Window: window, Overflow: overflow}, out)
		waiting := map[string][]string{} // by key, in order
		total := func(count func(n int) int) (sum int) {
			for key, ids := range waiting {
				if key == "" { // These have no order, and no share.
					sum += count(0) + len(ids)*count(1)
					continue
				}
				sum += count(len(ids))
			}
			return sum
		}
		inWindow := func() int { return total(func(n int) int { return min(n, share) }) }
		beyond := func() int {
			return total(func(n int) int { return max(0, n-share) })
		}
		for n, op := range rapid.SliceOfN(rapid.IntRange(-3, 5), 1, 200).Draw(t, "pushes to keys, 0 for none, or messages handled where negative") {
			if op >= 0 {
				key, id := "", fmt.Sprint(n)
				if op > 0 {
					key = fmt.Sprint(op)
				}
				want := inWindow() < window
				if key != "" && len(waiting[key]) >= share {
					want = beyond() < overflow
				}
				if got := accepts(d, key, id, nil); got != want {
					t.Fatalf("push %d to key %q is accepted: %v; with %v, a window of %d and an overflow of %d", n, key, got, waiting, window, overflow)
				}
				if want {
					waiting[key] = append(waiting[key], id)
				}
				continue
			}
			if d.InFlight() == 0 {
				continue
			}
			var msg *message.Message
			select {
			case msg = <-out:
			case <-time.After(3 * time.Minute):
				t.Fatalf("nothing is delivered of %v", waiting)
			}
			for key, ids := range waiting {
				at := slices.Index(ids, msg.UUID)
				if at > 0 && key != "" {
					t.Fatalf("%s is delivered before %s, which has the same key", msg.UUID, ids[0])
				}
				if at >= 0 {
					waiting[key] = slices.Delete(ids, at, at+1)
				}
			}
			before := d.InFlight()
			msg.Ack()
			for d.InFlight() == before {
				runtime.Gosched()
			}
		}
		if got, want := d.InFlight(), inWindow()+beyond(); got != want {
			t.Errorf("%d are in flight; want %d", got, want)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = d.Drain(ctx)
		if got := d.InFlight(); got != 0 {
			t.Errorf("%d are in flight after a drain", got)
		}
	})
}
