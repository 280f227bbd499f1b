package router_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// A partner that cannot be reached must not cost a single message, however long it takes.
func TestPolicy_BreakAfter_OpenBreakerKeepsMessagesFromPoison(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	var attempts atomic.Int32
	away.Store(true)
	kit := routertest.Start(t, catalogue(t), router.On("h", func(context.Context, router.Event[sample.Created]) error {
		// The partner is back after more failures than attempts would allow.
		if attempts.Add(1) > 10 {
			away.Store(false)
		}
		if away.Load() {
			return errors.New("no answer")
		}
		return nil
	}, router.Policy{Attempts: 2, BreakAfter: 1, BreakPause: 100 * time.Millisecond}))
	kit.Record(created(ada), created(bob))
	if l := kit.Poisoned("h"); len(l) != 0 {
		t.Errorf("poison messages: %+v", l)
	}
	if n := len(kit.Handled("h")); n != 2 {
		t.Errorf("%d events handled, want 2", n)
	}
}

func TestPolicy_BreakAfter_FailingMessagesDoNotKeepItOpen(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.On("h", func(_ context.Context, e router.Event[sample.Created]) error {
		if e.Data.Name == "bad" {
			return errBad
		}
		return nil
	}, router.Policy{Attempts: 2, BreakAfter: 3}))
	kit.Record(sample.Created{UserID: ada, Name: "bad"}, sample.Created{UserID: bob, Name: "bad"}, created(ada))
	if l := kit.Poisoned("h"); len(l) != 2 {
		t.Errorf("%d poison messages, want 2", len(l))
	}
}

var errBad = errors.New("bad")

func TestPolicy_Rate(t *testing.T) {
	t.Parallel()
	began := time.Now()
	kit := routertest.Start(t, catalogue(t), router.On("h", react, router.Policy{Rate: 50}))
	for i := range 11 {
		kit.Record(created(fmt.Sprint(i)))
	}
	// Five may come at once, the other six take their turn every 20 ms.
	if spent := time.Since(began); spent < 120*time.Millisecond {
		t.Errorf("11 messages at 50 a second took %s", spent)
	}
}

// What waits for its turn at a stop stays in its queue.
func TestPolicy_Rate_DoesNotDelayAStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		transport, memory, poisoned := &routertest.Transport{}, &routertest.Store{}, &routertest.PoisonStore{}
		var handled []string
		start := func() (stop func()) {
			r, err := router.New(router.Config{
				Catalogue: catalogue(t), Transport: transport, Log: memory, Reader: memory, Checkpoints: memory, Projections: memory, Elector: memory, Poison: poisoned,
				Handlers: []router.Handler{router.On("h", func(_ context.Context, e router.Event[sample.Created]) error {
					handled = append(handled, e.ID)
					return nil
				}, router.Policy{Rate: 0.1, Concurrency: 1})},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.Run(ctx) }()
			<-r.Running()
			return func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		stop := start()
		for _, id := range []string{ada, bob} {
			msg := message.NewMessage(id, []byte(`{"data":{"userId":"`+id+`","email":"a@example.com","name":"Ada"}}`))
			msg.Metadata[events.MetaType] = "USER_CREATED"
			if err := transport.Publisher().Publish("user.events", msg); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // The second one has ten seconds to wait.
		began := time.Now()
		stop()
		if spent := time.Since(began); spent > 2*time.Second {
			t.Errorf("the stop took %s", spent)
		}
		if diff := cmp.Diff([]string{ada}, handled); diff != "" {
			t.Errorf("handled before the stop (-want +got):\n%s", diff)
		}
		// The next process finds it in the queue, and has handled nothing yet.
		stop = start()
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]string{ada, bob}, handled); diff != "" {
			t.Errorf("handled in the end (-want +got):\n%s", diff)
		}
		if l := poisoned.Of("h"); len(l) > 0 {
			t.Errorf("poison messages: %+v", l)
		}
	})
}
