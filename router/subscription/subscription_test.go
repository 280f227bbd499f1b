package subscription_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/subscription"
)

func TestChecked(t *testing.T) {
	t.Parallel()
	for field, c := range map[string]router.Subscription{
		"Queue": {Topic: "a"}, "Topic": {Queue: "q", Types: []string{"A"}},
		"Concurrency": {Queue: "q", Concurrency: -1}, "Prefetch": {Queue: "q", Prefetch: -1},
	} {
		_, err := subscription.Checked(c)
		var e *events.Error
		if !errors.As(err, &e) || e.Code != events.CodeConfig || e.Field != field {
			t.Errorf("a wrong %s: %v", field, err)
		}
	}
	c, err := subscription.Checked(router.Subscription{Queue: "q", Concurrency: 500})
	if err != nil || c.Prefetch != 2000 {
		t.Errorf("the prefetch is %d: %v", c.Prefetch, err)
	}
	msg := message.NewMessage("", nil)
	msg.Metadata.Set(events.MetaAggregateID, "k")
	if c, err = subscription.Checked(router.Subscription{Queue: "q"}); err != nil || c.Concurrency != 16 || c.Prefetch != 1024 || c.Key(msg) != "k" {
		t.Errorf("the defaults are %d, %d, %q: %v", c.Concurrency, c.Prefetch, c.Key(msg), err)
	}
}

// running is a subscription whose handlers finish when done is closed.
type running struct {
	ready error
	done  chan struct{}
}

func (r *running) Ready() error { return r.ready }

func (r *running) Drain(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flushing is a subscription that can be flushed.
type flushing struct {
	running
	flushed chan struct{} // closed when it has nothing left
}

func (f *flushing) Flush(ctx context.Context) error {
	select {
	case <-f.flushed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestSet_Flush(t *testing.T) {
	t.Parallel()
	s := subscription.NewSet("q", time.Second)
	if err := s.Flush(t.Context()); err != nil {
		t.Errorf("without a subscription: %v", err)
	}
	var all [2]*flushing
	for i := range all {
		all[i] = &flushing{running{done: make(chan struct{})}, make(chan struct{})}
		if err := s.Add(t.Context(), func() subscription.Running { return all[i] }); err != nil {
			t.Fatal(err)
		}
	}
	close(all[0].flushed)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("while one of two has something left: %v", err)
	}
	close(all[1].flushed)
	if err := s.Flush(t.Context()); err != nil {
		t.Errorf("when both have nothing left: %v", err)
	}
	add(t.Context(), t, s, &running{done: make(chan struct{})})
	wantCode(t, s.Flush(t.Context()), events.CodeInternal)
}

func add(ctx context.Context, t *testing.T, s *subscription.Set, r *running) {
	t.Helper()
	if err := s.Add(ctx, func() subscription.Running { return r }); err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if events.CodeOf(err) != code {
		t.Errorf("got %v, want the code %s", err, code)
	}
}

func TestSet_Ready(t *testing.T) {
	t.Parallel()
	s := subscription.NewSet("q", time.Second)
	wantCode(t, s.Ready(), events.CodeUnavailable)
	broken := &running{done: make(chan struct{})}
	close(broken.done)
	add(t.Context(), t, s, broken)
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
	broken.ready = errors.New("broken")
	if err := s.Ready(); !errors.Is(err, broken.ready) {
		t.Errorf("got %v", err)
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	wantCode(t, s.Ready(), events.CodeShuttingDown)
	wantCode(t, s.Add(t.Context(), func() subscription.Running { t.Error("started"); return nil }), events.CodeShuttingDown)
}

func TestSet_EndOfContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := subscription.NewSet("q", time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		add(ctx, t, s, &running{done: make(chan struct{})})
		cancel()
		<-time.After(time.Second - time.Nanosecond)
		synctest.Wait()
		if err := s.Ready(); err != nil {
			t.Errorf("it has ended before the grace period: %v", err)
		}
		<-time.After(time.Nanosecond)
		synctest.Wait()
		wantCode(t, s.Ready(), events.CodeUnavailable)
	})
}

func TestSet_Close(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := subscription.NewSet("q", time.Second)
		slow := &running{done: make(chan struct{})}
		add(t.Context(), t, s, slow)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := s.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a drain that is cut short: %v", err)
		}
		began := time.Now()
		if err := s.Close(); err != nil || time.Since(began) != time.Second {
			t.Errorf("closed after %s: %v", time.Since(began), err)
		}
	})
}
