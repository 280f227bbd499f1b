package router_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

func TestPoisonCollector_OnePoisonMessageHoweverOftenItFails(t *testing.T) {
	t.Parallel()
	var fixed atomic.Bool
	kit := routertest.Start(t, catalogue(t), router.On("h", func(context.Context, router.Event[sample.Created]) error {
		if fixed.Load() {
			return nil
		}
		return errors.New("not yet")
	}, router.Policy{Queue: "q", Attempts: 2}))
	kit.Record(created(ada))
	first := kit.PoisonStore().Of("h")
	if len(first) != 1 {
		t.Fatalf("%d poison messages, want 1", len(first))
	}
	l := first[0]
	e := kit.Published("user.events")[0]
	want := poison.Message{
		ID: poison.ID("h", e.ID), Handler: "h", Kind: "reaction", Queue: "q", Topic: "user.events", Type: "USER_CREATED", Key: ada,
		MessageID: e.ID, CorrelationID: e.CorrelationID, Code: events.CodeInternal, Reason: "not yet", Source: poison.FromRouter,
		Attempts: 2, Failures: 1, Size: len(l.Body),
	}
	if diff := cmp.Diff(want, l, cmpopts.IgnoreFields(poison.Message{}, "Body", "Metadata", "FirstFailedAt", "LastFailedAt")); diff != "" {
		t.Errorf("another poison message than wanted (-want +got):\n%s", diff)
	}
	for name := range l.Metadata {
		if strings.HasPrefix(name, "poison_") || strings.HasPrefix(name, "pitwheel_") {
			t.Errorf("%s is left in the message's own metadata", name)
		}
	}
	// It fails again, and a third time: it is the same poison message.
	kit.Retry("h")
	kit.Retry("h")
	again := kit.PoisonStore().Of("h")
	if len(again) != 1 || again[0].ID != l.ID || again[0].Failures != 3 || again[0].Attempts != 2 || !again[0].FirstFailedAt.Equal(l.FirstFailedAt) || again[0].LastFailedAt.Before(l.LastFailedAt) {
		t.Errorf("after two retries: %+v, the first time %+v", again, l)
	}
	if diff := cmp.Diff(l.Metadata, again[0].Metadata); diff != "" {
		t.Errorf("the message's metadata changed on the way (-first +third):\n%s", diff)
	}
	if string(again[0].Body) != string(l.Body) {
		t.Errorf("the body was %s and is %s", l.Body, again[0].Body)
	}
	fixed.Store(true)
	kit.Retry("h")
	if left := kit.PoisonStore().Of("h"); len(left) > 0 {
		t.Errorf("poison messages are left: %+v", left)
	}
	if got := kit.Handled("h"); len(got) != 1 || got[0] != e.ID {
		t.Errorf("handled %v, want %s", got, e.ID)
	}
}

func TestPoisonCollector_FrameOfAPanic(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(){
		"a panic":                      func() { panic("boom") },
		"an error of the runtime":      func() { _ = strings.Split("one", ",")[1] },
		"a panic while panicking":      func() { defer func() { panic("again") }(); explode() },
		"in a function of the handler": explode,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kit := routertest.Start(t, catalogue(t), router.On("h", func(context.Context, router.Event[sample.Created]) error {
				fail()
				return nil
			}, router.Policy{Attempts: 1}))
			kit.Record(created(ada))
			poisoned := kit.Poisoned("h")
			if len(poisoned) != 1 || !strings.HasPrefix(poisoned[0].Frame, "router_test.") || !strings.Contains(poisoned[0].Frame, " collector_test.go:") {
				t.Errorf("the poison messages are %+v", poisoned)
			}
		})
	}
}

func explode() { panic("boom") }

// Messages that others put into a poison queue are stored as well, with what is known.
func TestPoisonCollector_MessagesOfOthers(t *testing.T) {
	t.Parallel()
	const own = "6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0008"
	body := `{"id":"` + own + `","type":"USER_CREATED","data":{"userId":"` + ada + `","email":"a@example.com","name":"Ada"}}`
	for _, tt := range []struct {
		name, id, body string
		meta           message.Metadata
		want           poison.Message
	}{
		{
			name: "dead-lettered by the broker, under the name of the poison queue", body: body,
			meta: message.Metadata{
				"type":    "ns.h.poison",
				"x-death": `[{"count":1,"exchange":"","queue":"ns.h","reason":"delivery_limit","routing-keys":["USER_CREATED"],"time":"2026-11-24T10:00:00.000Z"}]`,
			},
			want: poison.Message{
				Type: "USER_CREATED", Key: ada, MessageID: own, CorrelationID: own, Code: "DELIVERY_LIMIT", Source: poison.FromBroker,
				FirstFailedAt: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), LastFailedAt: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
			},
		},
		{
			name: "expired", id: "6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0009", body: `{"broken`,
			meta: message.Metadata{"type": "USER_CREATED", "x-first-death-reason": "expired", "x-delivery-count": "3"},
			want: poison.Message{
				Type: "USER_CREATED", MessageID: "6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0009", CorrelationID: "6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0009",
				Code: "EXPIRED", Source: poison.FromBroker, Attempts: 3,
			},
		},
		{
			name: "put there by hand", id: "mine", body: "\xff\xfe",
			want: poison.Message{MessageID: "mine", CorrelationID: "mine", Code: "UNEXPLAINED", Source: poison.FromBroker},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			kit := routertest.Start(t, catalogue(t), router.On("h", react))
			msg := message.NewMessage(tt.id, []byte(tt.body))
			for k, v := range tt.meta {
				msg.Metadata[k] = v
			}
			if err := kit.Transport().QueuePublisher().Publish("h.poison", msg, msg.Copy()); err != nil {
				t.Fatal(err)
			}
			kit.Settle()
			poisoned := kit.PoisonStore().Of("h")
			if len(poisoned) != 1 {
				t.Fatalf("%d poison messages, want 1", len(poisoned))
			}
			tt.want.ID, tt.want.Handler, tt.want.Kind, tt.want.Queue, tt.want.Topic = poison.ID("h", tt.want.MessageID), "h", "reaction", "h", "user.events"
			tt.want.Size, tt.want.Body = len(tt.body), []byte(tt.body)
			ignore := []string{"Metadata", "Reason", "Failures"}
			if tt.want.LastFailedAt.IsZero() {
				ignore = append(ignore, "FirstFailedAt", "LastFailedAt")
			}
			if diff := cmp.Diff(tt.want, poisoned[0], cmpopts.IgnoreFields(poison.Message{}, ignore...)); diff != "" {
				t.Errorf("another poison message than wanted (-want +got):\n%s", diff)
			}
			if poisoned[0].Reason == "" {
				t.Error("no reason is given")
			}
		})
	}
}

// A retried message is as it was before it failed.
func TestReplay(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	msg := poison.Replay(poison.Message{
		MessageID: "id", CorrelationID: "story", Failures: 2, FirstFailedAt: since, Body: []byte("body"),
		Metadata: map[string]string{
			"type": "USER_CREATED", "attempt": "1", "aggregate_id": ada, "x-death": "[]", "x-first-death-queue": "q", "x-delivery-count": "3",
			poison.MetaCode: "X", events.MetaAttempts: "5", events.MetaFirstFailed: "then", poison.MetaRetried: "1",
		},
	})
	want := message.Metadata{
		"type": "USER_CREATED", "attempt": "1", "aggregate_id": ada, "correlation_id": "story",
		poison.MetaRetried: "2", poison.MetaFailingSince: "2026-11-24T10:00:00.000Z",
	}
	if diff := cmp.Diff(want, msg.Metadata); diff != "" || msg.UUID != "id" || string(msg.Payload) != "body" {
		t.Errorf("the message is %s %s (-want +got):\n%s", msg.UUID, msg.Payload, diff)
	}
}

// While the store cannot be reached, a poison message waits in its queue.
func TestPoisonCollector_WaitsForItsStore(t *testing.T) {
	t.Parallel()
	store := &failingPoisonStore{}
	store.left.Store(3)
	transport, memory := &routertest.Transport{}, &routertest.Store{}
	r, err := router.New(router.Config{
		Catalogue: catalogue(t), Handlers: []router.Handler{router.On("h", react)}, Transport: transport,
		Log: memory, Reader: memory, Checkpoints: memory, Projections: memory, Elector: memory, Poison: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	if err := transport.QueuePublisher().Publish("h.poison", message.NewMessage("id", nil)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(time.Minute); len(store.Of("h")) == 0; {
		select {
		case <-deadline:
			t.Fatal("the poison message was never stored")
		case <-time.After(time.Millisecond):
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// failingPoisonStore fails a few times first.
type failingPoisonStore struct {
	routertest.PoisonStore
	left atomic.Int32
}

func (l *failingPoisonStore) StorePoison(ctx context.Context, m poison.Message) error {
	if l.left.Add(-1) >= 0 {
		return events.Errorf(events.CodeUnavailable, "away")
	}
	return l.PoisonStore.StorePoison(ctx, m)
}

func TestDescribe_QueueNamedLikeAPoisonQueue(t *testing.T) {
	t.Parallel()
	_, err := router.Describe(catalogue(t), []router.Handler{router.On("h", react, router.Policy{Queue: "other.poison"})}, nil)
	if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "other.poison") {
		t.Errorf("the error is %v", err)
	}
}
