package cli

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// TestTopology_ReactionWantsAnotherType changes what a reaction reacts to: events of the type
// that the former build wanted do not reach it any more. On RabbitMQ all of them became poison
// messages.
func TestTopology_ReactionWantsAnotherType(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		handled := make(chan string, 100)
		r.handler = router.On("h", func(_ context.Context, e router.Event[sample.Created]) error {
			handled <- e.ID
			return nil
		})
		stop := r.run()
		r.publish(events.NewID(), "before")
		<-handled
		stop()
		r.handler = router.On("h", func(_ context.Context, e router.Event[sample.EmailChanged]) error {
			handled <- e.ID
			return nil
		})
		r.run()
		// It is recorded once the former binding is removed.
		programtest.Eventually(t, "the record of what is in force", func() bool {
			recorded, err := r.store.DeclaredHandlers(t.Context())
			return err == nil && len(recorded) == 1 && len(recorded[0].Bindings) == 1 && recorded[0].Bindings[0].Type == "USER_EMAIL_CHANGED"
		})
		for range 20 {
			r.publish(events.NewID(), "after")
		}
		userID := events.NewID()
		changed := message.NewMessage(events.NewID(), nil)
		changed.Payload = []byte(`{"id":"` + changed.UUID + `","type":"USER_EMAIL_CHANGED","timestamp":"2026-11-24T10:00:00.000Z","data":{"userId":"` + userID + `","email":"a@example.com"}}`)
		changed.Metadata.Set(events.MetaType, "USER_EMAIL_CHANGED")
		changed.Metadata.Set(events.MetaAggregateID, userID)
		r.publishAll(changed)
		if got := <-handled; got != changed.UUID {
			t.Errorf("handled %s, not %s", got, changed.UUID)
		}
		programtest.Eventually(t, "nothing in flight", func() bool { return metric(r.page(), "pitwheel_handler_in_flight") == 0 })
		if n := metric(r.page(), "pitwheel_handler_messages_total", `outcome="poisoned"`); n != 0 {
			t.Errorf("%v events of the former type are poison messages", n)
		}
	}, nil)
}
