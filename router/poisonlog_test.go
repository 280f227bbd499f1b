package router_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// lockedBuffer is a buffer that several goroutines write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Whoever reads in the log that a message is poisoned can look it up in the poison store.
func TestRouter_LogsPoisonID(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]router.Handler{
		"reaction": router.On("h", func(context.Context, router.Event[sample.Created]) error {
			return events.Permanent(errors.New("never"))
		}),
		"projection":    router.Project("h", router.Case(func(*row, router.Event[sample.Created]) error { return events.Permanent(errors.New("never")) })),
		"not decodable": router.On("h", react),
		"by the broker": router.On("h", react),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log lockedBuffer
			kit := routertest.StartWith(t, func(c *router.Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) }, catalogue(t), handler)
			switch name {
			case "not decodable":
				kit.Deliver("user.events", "USER_CREATED", []byte(`{"broken`))
			case "by the broker":
				if err := kit.Transport().QueuePublisher().Publish("h.poison", message.NewMessage(events.NewID(), []byte("{}"))); err != nil {
					t.Fatal(err)
				}
				kit.Settle()
			default:
				kit.Record(created(ada))
			}
			poisoned := kit.PoisonStore().Of("h")
			if len(poisoned) != 1 {
				t.Fatalf("poison messages are %+v", poisoned)
			}
			if want := `"poison_id":"` + poisoned[0].ID + `"`; strings.Count(log.String(), want) != 1 {
				t.Errorf("not one line has %s:\n%s", want, log.String())
			}
		})
	}
}
