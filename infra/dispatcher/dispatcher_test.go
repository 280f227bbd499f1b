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

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/dispatcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record keeps the calls of Done.
type record struct {
	mu    sync.Mutex
	calls map[string][]bool
}

func (s *record) done(id string, acked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		s.calls = make(map[string][]bool)
	}
	s.calls[id] = append(s.calls[id], acked)
}

func (s *record) want(t *testing.T, id string, acked bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.calls[id]; len(got) != 1 || got[0] != acked {
		t.Errorf("%s ended with %v, want exactly once with %v", id, got, acked)
	}
}

func push(t *testing.T, d *dispatcher.Dispatcher[string], key, id string) {
	t.Helper()
	if err := d.Push(t.Context(), key, message.NewMessage(id, nil), id); err != nil {
		t.Fatalf("Push(%s): %v", id, err)
	}
}

func receive(t *testing.T, out <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg := <-out:
		return msg
	case <-time.After(3 * time.Minute):
		t.Fatal("no message was delivered")
		return nil
	}
}

func wantNothing(t *testing.T, out <-chan *message.Message) {
	t.Helper()
	select {
	case msg := <-out:
		t.Fatalf("%s was delivered", msg.UUID)
	case <-time.After(20 * time.Millisecond):
	}
}

func TestDispatcher_OneMessageOfAKeyAtATime(t *testing.T) {
	t.Parallel()
	var s record
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{Done: s.done}, out)
	push(t, d, "a", "a1")
	push(t, d, "a", "a2")
	a1 := receive(t, out)
	wantNothing(t, out)
	push(t, d, "b", "b1")
	if b1 := receive(t, out); b1.UUID != "b1" {
		t.Fatalf("got %s, want b1, which waits for no other message", b1.UUID)
	} else {
		b1.Ack()
	}
	a1.Ack()
	a2 := receive(t, out)
	if a2.UUID != "a2" {
		t.Fatalf("got %s, want a2", a2.UUID)
	}
	a2.Ack()
	if err := d.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a1", "a2", "b1"} {
		s.want(t, id, true)
	}
}

func TestDispatcher_NackedMessageIsDeliveredAgainInPlace(t *testing.T) {
	t.Parallel()
	var s record
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{Concurrency: 1, Done: s.done, MinBackoff: 30 * time.Millisecond}, out)
	msg := message.NewMessage("a1", []byte("body"))
	msg.Metadata.Set("k", "v")
	if err := d.Push(t.Context(), "a", msg, "a1"); err != nil {
		t.Fatal(err)
	}
	push(t, d, "a", "a2")
	push(t, d, "b", "b1")
	begun := time.Now()
	receive(t, out).Nack()
	// A key that waits for its next attempt takes no worker, even if there is only one.
	b1 := receive(t, out)
	if b1.UUID != "b1" {
		t.Fatalf("got %s, want b1 while a waits", b1.UUID)
	}
	b1.Ack()
	again := receive(t, out)
	if again.UUID != "a1" || again.Metadata.Get("k") != "v" || string(again.Payload) != "body" {
		t.Fatalf("got %s %v %q, want a1 again, unchanged", again.UUID, again.Metadata, again.Payload)
	}
	if passed := time.Since(begun); passed < 30*time.Millisecond {
		t.Errorf("the second attempt came after %v, want at least 30ms", passed)
	}
	if again.Context().Err() != nil {
		t.Error("the second attempt has a context that has ended")
	}
	again.Ack()
	receive(t, out).Ack()
	if err := d.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(t, "a1", true)
}

func TestDispatcher_Push_FullWindowBlocks(t *testing.T) {
	t.Parallel()
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{Window: 2}, out)
	push(t, d, "a", "a")
	push(t, d, "b", "b")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := d.Push(ctx, "c", message.NewMessage("c", nil), "c"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Push into a full window: %v, want the context's error", err)
	}
	pushed := make(chan error, 2)
	for _, id := range []string{"d", "e"} {
		go func() { pushed <- d.Push(t.Context(), id, message.NewMessage(id, nil), id) }()
	}
	for range 2 { // Each makes room for one of the two.
		receive(t, out).Ack()
		if err := <-pushed; err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		receive(t, out).Ack()
	}
	if err := d.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestDispatcher_ContextEndsWithItsMessage(t *testing.T) {
	t.Parallel()
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{}, out)
	push(t, d, "", "1")
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
	if err := d.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestDispatcher_Drain(t *testing.T) {
	t.Parallel()
	var s record
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{Concurrency: 2, Done: s.done, MinBackoff: time.Hour, MaxBackoff: time.Hour}, out)
	push(t, d, "waiting", "waiting")
	receive(t, out).Nack()
	push(t, d, "a", "running")
	running := receive(t, out)
	push(t, d, "a", "behind")
	push(t, d, "b", "unread") // A worker offers it, and nobody reads.
	push(t, d, "c", "ready")

	drained := make(chan error, 1)
	go func() { drained <- d.Drain(t.Context()) }()
	for d.InFlight() > 1 {
		runtime.Gosched()
	}
	if err := d.Push(t.Context(), "d", message.NewMessage("late", nil), "late"); !errors.Is(err, dispatcher.ErrDraining) {
		t.Errorf("Push while draining: %v, want ErrDraining", err)
	}
	for _, id := range []string{"waiting", "behind", "unread", "ready"} {
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
	if err := d.Drain(t.Context()); err != nil {
		t.Errorf("a second Drain: %v", err)
	}
}

func TestDispatcher_Drain_GivesUpAtDeadline(t *testing.T) {
	t.Parallel()
	var s record
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{Done: s.done}, out)
	push(t, d, "a", "stuck")
	msg := receive(t, out)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain: %v, want the context's error", err)
	}
	<-msg.Context().Done()
	s.want(t, "stuck", false)
	if n := d.InFlight(); n != 0 {
		t.Errorf("%d in flight after a drain, want 0", n)
	}
}

func TestDispatcher_StaleDeliveryIsNotDelivered(t *testing.T) {
	t.Parallel()
	var s record
	var lost atomic.Bool
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{
		Done:  s.done,
		Stale: func(id string) bool { return lost.Load() && id != "new" },
	}, out)
	push(t, d, "a", "old")
	push(t, d, "a", "behind")
	old := receive(t, out)
	push(t, d, "a", "new")
	lost.Store(true)
	old.Ack()
	got := receive(t, out)
	if got.UUID != "new" {
		t.Fatalf("got %s, want new", got.UUID)
	}
	got.Ack()
	if err := d.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(t, "old", true)
	s.want(t, "behind", false)
	s.want(t, "new", true)
}

// A key that never finishes delays no other, whatever the keys hash to.
func TestDispatcher_SlowKeyDelaysNoOther(t *testing.T) {
	t.Parallel()
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{Concurrency: 2, Window: 4096}, out)
	push(t, d, "slow", "slow")
	slow := receive(t, out)
	go func() {
		for i := range 1000 {
			_ = d.Push(context.Background(), fmt.Sprint("key", i), message.NewMessage(fmt.Sprint(i), nil), "")
			_ = d.Push(context.Background(), "slow", message.NewMessage("slow too", nil), "")
		}
	}()
	for range 1000 {
		receive(t, out).Ack()
	}
	slow.Ack()
	for range 1000 {
		receive(t, out).Ack()
	}
	if err := d.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A message that waits between two attempts is delivered once more in a drain if its attempts
// are counted, and only then.
func TestDispatcher_DrainDeliversCountedAttempts(t *testing.T) {
	t.Parallel()
	var s record
	out := make(chan *message.Message)
	d := dispatcher.New(dispatcher.Config[string]{Done: s.done, MinBackoff: time.Hour, MaxBackoff: time.Hour}, out)
	for _, id := range []string{"counted", "again", "plain"} {
		push(t, d, id, id)
		push(t, d, id, id+" follower")
		msg := receive(t, out)
		if id != "plain" {
			msg.Metadata.Set(events.MetaAttempts, "1")
		}
		msg.Nack()
	}
	drained := make(chan error, 1)
	go func() { drained <- d.Drain(t.Context()) }()
	for range 2 {
		if msg := receive(t, out); msg.UUID == "counted" {
			msg.Ack()
		} else {
			msg.Nack()
		}
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	s.want(t, "counted", true)
	for _, id := range []string{"again", "plain", "counted follower", "again follower", "plain follower"} {
		s.want(t, id, false)
	}
}
