package router_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// allDelayed lets every pause be spent at the broker.
func allDelayed(c *router.Config) { c.MaxInMemoryDelay = 1 }

// failingDelays is a transport whose first delays do something else.
type failingDelays struct {
	router.Transport
	times atomic.Int32
	delay func(queue string, msgs ...*message.Message) error
}

func (s *failingDelays) Delay(ctx context.Context, queue string, d time.Duration, msgs ...*message.Message) error {
	if s.times.Add(-1) >= 0 {
		return s.delay(queue, msgs...)
	}
	return s.Transport.Delay(ctx, queue, d, msgs...)
}

func TestPolicy_Attempts_DelayedOnesAreCountedAndNeverEarly(t *testing.T) {
	t.Parallel()
	const pause = 30 * time.Millisecond
	for name, adapt := range map[string]func(*router.Config){
		"at the broker": allDelayed,
		"in memory": func(c *router.Config) {
			c.MaxInMemoryDelay = time.Hour
			c.Transport = &failingDelays{Transport: c.Transport, delay: nil} // It would panic.
			c.Transport.(*failingDelays).times.Store(1000)
		},
		"the broker's longest delay is shorter": func(c *router.Config) {
			allDelayed(c)
			s := &failingDelays{Transport: c.Transport, delay: c.Transport.QueuePublisher().Publish} // At once.
			s.times.Store(7)
			c.Transport = s
		},
		"the broker cannot be reached": func(c *router.Config) {
			c.MaxInMemoryDelay = time.Millisecond
			s := &failingDelays{Transport: c.Transport, delay: func(string, ...*message.Message) error { return errors.New("away") }}
			s.times.Store(7)
			c.Transport = s
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var at []time.Time
			kit := routertest.StartWith(t, adapt, catalogue(t), router.On("h", func(context.Context, router.Event[sample.Created]) error {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Now())
				return events.RetryAfter(pause, errors.New("not yet"))
			}, router.Policy{Attempts: 3}))
			kit.Record(created(ada))
			mu.Lock()
			defer mu.Unlock()
			if len(at) != 3 {
				t.Fatalf("%d attempts, want 3", len(at))
			}
			for i := range at[1:] {
				if between := at[i+1].Sub(at[i]); between < pause {
					t.Errorf("attempt %d came after %s, want at least %s", i+2, between, pause)
				}
			}
			poisoned := kit.PoisonStore().Of("h")
			if len(poisoned) != 1 || poisoned[0].Attempts != 3 || poisoned[0].FirstFailedAt.After(at[1]) {
				t.Fatalf("poison messages: %+v", poisoned)
			}
			for name := range poisoned[0].Metadata {
				if name == events.MetaDue || name == events.MetaAttempts {
					t.Errorf("%s is left in the message's own metadata", name)
				}
			}
			// Retried, it begins anew.
			mu.Unlock()
			kit.Retry("h")
			mu.Lock()
			if len(at) != 6 {
				t.Errorf("%d attempts after a retry, want 6", len(at))
			}
		})
	}
}

// While a message waits at the broker, later ones of its key go on.
func TestPolicy_Attempts_LaterMessagesOvertakeADelayedOne(t *testing.T) {
	t.Parallel()
	var order []string
	kit := routertest.StartWith(t, allDelayed, catalogue(t), router.On("h", func(_ context.Context, e router.Event[sample.Created]) error {
		if e.Data.Name == "first" && !slices.Contains(order, "second") {
			return events.RetryAfter(20*time.Millisecond, errors.New("not yet"))
		}
		order = append(order, e.Data.Name)
		return nil
	}))
	kit.Record(named(ada, "first"), named(ada, "second"))
	if !slices.Equal(order, []string{"second", "first"}) {
		t.Errorf("handled in the order %v", order)
	}
}

func named(id, name string) sample.Created {
	return sample.Created{UserID: id, Name: name, Email: "someone@example.com"}
}

func TestPolicy_RetryIf(t *testing.T) {
	t.Parallel()
	hopeless := errors.New("hopeless")
	for _, tt := range []struct {
		name     string
		err      error
		attempts int
	}{
		{"it may help", errors.New("boom"), 3},
		{"it does not", hopeless, 1},
		{"the handler asks for it", events.RetryAfter(time.Millisecond, hopeless), 3},
		{"permanent", events.Permanent(errors.New("boom")), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			kit := routertest.Start(t, catalogue(t), router.On("h", func(context.Context, router.Event[sample.Created]) error {
				calls.Add(1)
				return tt.err
			}, router.Policy{Attempts: 3, RetryIf: func(err error) bool { return !errors.Is(err, hopeless) }}))
			kit.Record(created(ada))
			if got := int(calls.Load()); got != tt.attempts {
				t.Errorf("%d attempts, want %d", got, tt.attempts)
			}
			if got := kit.Poisoned("h"); len(got) != 1 {
				t.Errorf("poison messages: %+v", got)
			}
		})
	}
}
