package router_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// inOrder records the ids and names of what it handles, and fails as it is told.
type inOrder struct {
	ids, names []string
	answers    []error
}

func (h *inOrder) handle(_ context.Context, e router.Event[sample.Created]) error {
	h.ids, h.names = append(h.ids, e.ID), append(h.names, e.Data.Name)
	if len(h.answers) == 0 {
		return nil
	}
	err := h.answers[0]
	h.answers = h.answers[1:]
	return err
}

const adaWithoutID = `{"type":"USER_CREATED","data":{"userId":"` + ada + `","email":"a@example.com","name":"Ada"}}`

func TestOn_MessagesWithoutID(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		contentID bool
		handled   int
	}{"each counts as its own": {false, 3}, "one of equal ones counts": {true, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h inOrder
			kit := routertest.Start(t, catalogue(t), router.On("h", h.handle, router.Policy{ContentID: tt.contentID}))
			for range 3 {
				kit.Deliver("user.events", "USER_CREATED", []byte(adaWithoutID))
			}
			if len(h.ids) != tt.handled {
				t.Errorf("handled as %q, want %d", h.ids, tt.handled)
			}
		})
	}
}

// Wherever a message without an id waits, it stays the same one.
func TestOn_MessageWithoutID_KeepsTheOneThatItIsGiven(t *testing.T) {
	t.Parallel()
	again := events.RetryAfter(time.Millisecond, events.Errorf(events.CodeUnavailable, "away"))
	for name, adapt := range map[string]func(*router.Config){
		"in memory":     func(*router.Config) {},
		"at the broker": allDelayed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := inOrder{answers: []error{again, again, errNever}}
			kit := routertest.StartWith(t, adapt, catalogue(t), router.On("h", h.handle, router.Policy{Ordered: true}))
			kit.Deliver("user.events", "USER_CREATED", []byte(adaWithoutID))
			poisoned := kit.Poisoned("h")
			if len(poisoned) != 1 {
				t.Fatalf("%d poison messages, want 1", len(poisoned))
			}
			kit.Deliver("user.events", "USER_CREATED", []byte(strings.Replace(adaWithoutID, `"Ada"`, `"Parked"`, 1)))
			kit.Retry("h")
			if len(h.ids) != 5 {
				t.Fatalf("%d attempts, want 5: %q", len(h.ids), h.names)
			}
			id, parked := h.ids[0], h.ids[4]
			if diff := cmp.Diff([]string{id, id, id, id, parked}, h.ids); diff != "" || parked == id || poisoned[0].MessageID != id {
				t.Errorf("the poison message is of %s, and others are handled than wanted (-want +got):\n%s", poisoned[0].MessageID, diff)
			}
			if got := kit.Handled("h"); !cmp.Equal(got, []string{id, parked}) {
				t.Errorf("recorded as handled are %q", got)
			}
			mustBeFree(t, kit)
		})
	}
}

// An id that is not a UUID is seen by everyone as its producer has written it.
func TestOn_IDThatIsNotAUUID(t *testing.T) {
	t.Parallel()
	h := inOrder{answers: []error{errNever}}
	kit := routertest.Start(t, catalogue(t), router.On("h", h.handle))
	for range 2 {
		kit.Deliver("user.events", "USER_CREATED", []byte(`{"id":"order/7 b",`+adaWithoutID[1:]))
	}
	poisoned := kit.Poisoned("h")
	if len(poisoned) != 1 || poisoned[0].MessageID != "order/7 b" || poisoned[0].ID != poison.ID("h", "order/7 b") {
		t.Fatalf("the poison messages are %+v", poisoned)
	}
	kit.Retry("h", "order/7 b")
	if diff := cmp.Diff([]string{"order/7 b", "order/7 b"}, h.ids); diff != "" {
		t.Errorf("handled otherwise (-want +got):\n%s", diff)
	}
}

// A command's id is hashed, as its sender's is, so that both find the same outcome.
func TestDecide_IDThatIsNotAUUID(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.Decide("register", register))
	kit.Deliver("user.commands", "CREATE_USER", []byte(`{"id":"order 7","type":"CREATE_USER","data":{"userId":"`+ada+`","email":"a@example.com","name":"Ada"}}`))
	got, err := kit.Commands().Execute(t.Context(), sample.Create{UserID: ada, Email: "a@example.com", Name: "Ada"}, events.SendOptions{ID: "order 7"})
	if err != nil || got.Status != events.StatusAccepted || !got.Repeated {
		t.Errorf("the outcome is %+v (%v), want that of the message", got, err)
	}
}

func TestOn_MissingField(t *testing.T) {
	t.Parallel()
	data := `{"foo":1,"userId":"` + ada + `","email":"a@example.com"}`
	body := []byte(`{"id":"1","type":"USER_CREATED","data":` + data + `}`)
	for _, tt := range []struct {
		name    string
		meta    message.Metadata
		handled int
	}{
		{"foreign", nil, 0},
		{"an event of the log", message.Metadata{events.MetaLogPosition: "7"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var h inOrder
			kit := routertest.Start(t, catalogue(t), router.On("h", h.handle, router.Policy{BreakAfter: 1}))
			msg := message.NewMessage("", body)
			msg.Metadata[events.MetaType] = "USER_CREATED"
			for name, value := range tt.meta {
				msg.Metadata[name] = value
			}
			if err := kit.Transport().Publisher().Publish("user.events", msg); err != nil {
				t.Fatal(err)
			}
			kit.Settle()
			poisoned := kit.Poisoned("h")
			if len(h.ids) != tt.handled || len(poisoned) != 1-tt.handled {
				t.Fatalf("handled %q, and the poison messages are %+v", h.names, poisoned)
			}
			if tt.handled == 1 {
				return
			}
			if m := poisoned[0]; m.Code != events.CodeInvalid || m.Attempts != 1 || !strings.HasPrefix(m.Reason, "name: is missing") || m.Key != ada {
				t.Errorf("the poison message is %+v", m)
			}
			kit.Deliver("user.events", "USER_CREATED", []byte(adaWithoutID)) // The circuit breaker is closed.
			if len(h.ids) != 1 {
				t.Errorf("handled %q, want one", h.names)
			}
		})
	}
}

// Data of an older version have what they need once they are brought up to date.
func TestOn_MissingField_AfterUpcasters(t *testing.T) {
	t.Parallel()
	c := events.NewCatalogue()
	addName := events.Upcast{From: 1, Func: func(old json.RawMessage) (json.RawMessage, error) {
		return append([]byte(`{"name":"Ada",`), old[1:]...), nil
	}}
	if err := c.Aggregate("user", events.EventOf[sample.Created](addName)); err != nil {
		t.Fatal(err)
	}
	var h inOrder
	kit := routertest.Start(t, c, router.On("h", h.handle))
	kit.Deliver("user.events", "USER_CREATED", []byte(`{"type":"USER_CREATED","data":{"userId":"`+ada+`","email":"a@example.com"}}`))
	kit.Deliver("user.events", "USER_CREATED", []byte(`{"type":"USER_CREATED","data":{"userId":"`+ada+`"}}`))
	if diff := cmp.Diff([]string{"Ada"}, h.names); diff != "" {
		t.Errorf("handled otherwise (-want +got):\n%s", diff)
	}
	if poisoned := kit.Poisoned("h"); len(poisoned) != 1 || !strings.HasPrefix(poisoned[0].Reason, "email: ") {
		t.Errorf("the poison messages are %+v", poisoned)
	}
}

// A command that lacks a field is refused, and its sender can read why.
func TestDecide_MissingField(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.Decide("move", move))
	const id = "6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0010"
	kit.Deliver("user.commands", "CHANGE_USER_EMAIL", []byte(`{"id":"`+id+`","type":"CHANGE_USER_EMAIL","data":{"userId":"`+ada+`"}}`))
	got, err := kit.Store().Outcomes(t.Context(), []events.Receipt{{CommandID: id, Aggregate: "user", AggregateID: ada}})
	if err != nil {
		t.Fatal(err)
	}
	if o := got[0]; o.Status != events.StatusRejected || o.Code != events.CodeInvalid || o.Field != "email" {
		t.Errorf("the outcome is %+v", o)
	}
	// Of one that does not say whom it is for there is no outcome.
	kit.Deliver("user.commands", "CHANGE_USER_EMAIL", []byte(`{"type":"CHANGE_USER_EMAIL","data":{"email":"a@example.com"}}`))
	if poisoned := kit.Poisoned("move"); len(poisoned) != 1 || poisoned[0].Code != events.CodeInvalid || !strings.HasPrefix(poisoned[0].Reason, "userId: is missing") {
		t.Errorf("the poison messages are %+v", poisoned)
	}
}

func TestOn_NestEnvelope(t *testing.T) {
	t.Parallel()
	var h inOrder
	kit := routertest.Start(t, catalogue(t), router.On("h", h.handle))
	msg := message.NewMessage("", []byte(`{"pattern":"USER_CREATED","data":{"userId":"`+ada+`","email":"a@example.com","name":"Ada"}}`))
	msg.Metadata[events.MetaType] = "h" // The routing key of a message that is sent to a queue.
	if err := kit.Transport().QueuePublisher().Publish("h", msg); err != nil {
		t.Fatal(err)
	}
	kit.Settle()
	if diff := cmp.Diff([]string{"Ada"}, h.names); diff != "" {
		t.Errorf("handled otherwise; poison messages: %+v (-want +got):\n%s", kit.Poisoned("h"), diff)
	}
}
