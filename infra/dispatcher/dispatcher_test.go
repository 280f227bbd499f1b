package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/pitwheel/pitwheel/infra/dispatcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settled collects what Settle was told.
type settled struct {
	mu   sync.Mutex
	told map[string][]bool
}

func (s *settled) settle(id string, handled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told == nil {
		s.told = make(map[string][]bool)
	}
	s.told[id] = append(s.told[id], handled)
}

func (s *settled) want(t *testing.T, id string, handled bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.told[id]; len(got) != 1 || got[0] != handled {
		t.Errorf("%s was settled with %v, want exactly once with %v", id, got, handled)
	}
}

func push(t *testing.T, l *dispatcher.Dispatcher[string], key, id string) {
	t.Helper()
	if err := l.Push(t.Context(), key, message.NewMessage(id, nil), id); err != nil {
		t.Fatalf("Push(%s): %v", id, err)
	}
}

func receive(t *testing.T, out <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg := <-out:
		return msg
	case <-time.After(time.Minute):
		t.Fatal("nothing was handed out")
		return nil
	}
}

func wantNothing(t *testing.T, out <-chan *message.Message) {
	t.Helper()
	select {
	case msg := <-out:
		t.Fatalf("%s was handed out", msg.UUID)
	case <-time.After(20 * time.Millisecond):
	}
}

func TestOneOfAKeyAtATime(t *testing.T) {
	t.Parallel()
	var s settled
	out := make(chan *message.Message)
	l := dispatcher.New(dispatcher.Config[string]{Settle: s.settle}, out)
	push(t, l, "a", "a1")
	push(t, l, "a", "a2")
	a1 := receive(t, out)
	wantNothing(t, out)
	push(t, l, "b", "b1")
	if b1 := receive(t, out); b1.UUID != "b1" {
		t.Fatalf("got %s, want b1, which no other message holds up", b1.UUID)
	} else {
		b1.Ack()
	}
	a1.Ack()
	a2 := receive(t, out)
	if a2.UUID != "a2" {
		t.Fatalf("got %s, want a2", a2.UUID)
	}
	a2.Ack()
	if err := l.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a1", "a2", "b1"} {
		s.want(t, id, true)
	}
}

func TestNackHandsOutAgainInPlace(t *testing.T) {
	t.Parallel()
	var s settled
	out := make(chan *message.Message)
	l := dispatcher.New(dispatcher.Config[string]{Concurrency: 1, Settle: s.settle, MinBackoff: 30 * time.Millisecond}, out)
	msg := message.NewMessage("a1", []byte("body"))
	msg.Metadata.Set("k", "v")
	if err := l.Push(t.Context(), "a", msg, "a1"); err != nil {
		t.Fatal(err)
	}
	push(t, l, "a", "a2")
	push(t, l, "b", "b1")
	begun := time.Now()
	receive(t, out).Nack()
	// A resting key takes no place from the others, not even with one place in all.
	b1 := receive(t, out)
	if b1.UUID != "b1" {
		t.Fatalf("got %s, want b1 while a rests", b1.UUID)
	}
	b1.Ack()
	again := receive(t, out)
	if again.UUID != "a1" || again.Metadata.Get("k") != "v" || string(again.Payload) != "body" {
		t.Fatalf("got %s %v %q, want a1 again, whole", again.UUID, again.Metadata, again.Payload)
	}
	if passed := time.Since(begun); passed < 30*time.Millisecond {
		t.Errorf("the second attempt came after %v, want at least 30ms", passed)
	}
	if again.Context().Err() != nil {
		t.Error("the second attempt has a context that is over")
	}
	again.Ack()
	receive(t, out).Ack()
	if err := l.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(t, "a1", true)
}

func TestWindowBlocksPush(t *testing.T) {
	t.Parallel()
	out := make(chan *message.Message)
	l := dispatcher.New(dispatcher.Config[string]{Window: 2}, out)
	push(t, l, "a", "a1")
	push(t, l, "a", "a2")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := l.Push(ctx, "b", message.NewMessage("b1", nil), "b1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Push into a full window: %v, want the context's error", err)
	}
	pushed := make(chan error, 2)
	for _, id := range []string{"b2", "b3"} {
		go func() { pushed <- l.Push(t.Context(), id, message.NewMessage(id, nil), id) }()
	}
	receive(t, out).Ack() // a1 makes room for one of the two,
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
	for range 2 { // and a2 and the first of them for the other.
		receive(t, out).Ack()
	}
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
	receive(t, out).Ack()
	if err := l.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestContextEndsWithTheMessage(t *testing.T) {
	t.Parallel()
	out := make(chan *message.Message)
	l := dispatcher.New(dispatcher.Config[string]{}, out)
	push(t, l, "", "1")
	type key struct{}
	msg := receive(t, out)
	if err := msg.Context().Err(); err != nil {
		t.Fatalf("a running handler's context: %v", err)
	}
	derived, cancel := context.WithTimeout(context.WithValue(msg.Context(), key{}, "v"), time.Hour)
	defer cancel()
	msg.Ack()
	<-msg.Context().Done()
	<-derived.Done()
	if !errors.Is(derived.Err(), context.Canceled) {
		t.Errorf("a derived context ends with %v", derived.Err())
	}
	if err := l.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	var s settled
	out := make(chan *message.Message)
	l := dispatcher.New(dispatcher.Config[string]{Concurrency: 2, Settle: s.settle, MinBackoff: time.Hour, MaxBackoff: time.Hour}, out)
	push(t, l, "resting", "resting")
	receive(t, out).Nack()
	push(t, l, "a", "running")
	running := receive(t, out)
	push(t, l, "a", "behind")
	push(t, l, "b", "unread") // A worker offers it, and nobody reads.
	push(t, l, "c", "ready")

	drained := make(chan error, 1)
	go func() { drained <- l.Drain(t.Context()) }()
	for l.InFlight() > 1 {
		runtime.Gosched()
	}
	if err := l.Push(t.Context(), "d", message.NewMessage("late", nil), "late"); !errors.Is(err, dispatcher.ErrDraining) {
		t.Errorf("Push while draining: %v, want ErrDraining", err)
	}
	for _, id := range []string{"resting", "behind", "unread", "ready"} {
		s.want(t, id, false)
	}
	if err := running.Context().Err(); err != nil {
		t.Errorf("the context of a running handler during a drain: %v", err)
	}
	running.Ack()
	if err := <-drained; err != nil {
		t.Errorf("Drain: %v", err)
	}
	s.want(t, "running", true)
	if err := l.Drain(t.Context()); err != nil {
		t.Errorf("a second Drain: %v", err)
	}
}

func TestDrainGivesUp(t *testing.T) {
	t.Parallel()
	var s settled
	out := make(chan *message.Message)
	l := dispatcher.New(dispatcher.Config[string]{Settle: s.settle}, out)
	push(t, l, "a", "stuck")
	msg := receive(t, out)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain: %v, want the context's error", err)
	}
	<-msg.Context().Done()
	s.want(t, "stuck", false)
	if n := l.InFlight(); n != 0 {
		t.Errorf("%d in flight after a drain, want 0", n)
	}
}

func TestStaleIsNotHandedOut(t *testing.T) {
	t.Parallel()
	var s settled
	var lost atomic.Bool
	out := make(chan *message.Message)
	l := dispatcher.New(dispatcher.Config[string]{
		Settle: s.settle,
		Stale:  func(id string) bool { return lost.Load() && id != "new" },
	}, out)
	push(t, l, "a", "old")
	push(t, l, "a", "behind")
	old := receive(t, out)
	push(t, l, "a", "new")
	lost.Store(true)
	old.Ack()
	got := receive(t, out)
	if got.UUID != "new" {
		t.Fatalf("got %s, want new", got.UUID)
	}
	got.Ack()
	if err := l.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(t, "old", true)
	s.want(t, "behind", false)
	s.want(t, "new", true)
}

// One key that never finishes delays no other, whatever the keys hash to.
func TestSlowKeyDelaysNoOther(t *testing.T) {
	t.Parallel()
	out := make(chan *message.Message)
	l := dispatcher.New(dispatcher.Config[string]{Concurrency: 2, Window: 4096}, out)
	push(t, l, "slow", "slow")
	slow := receive(t, out)
	go func() {
		for i := range 1000 {
			_ = l.Push(context.Background(), fmt.Sprint("key", i), message.NewMessage(fmt.Sprint(i), nil), "")
			_ = l.Push(context.Background(), "slow", message.NewMessage("slow too", nil), "")
		}
	}()
	for range 1000 {
		receive(t, out).Ack()
	}
	slow.Ack()
	for range 1000 {
		receive(t, out).Ack()
	}
	if err := l.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}
