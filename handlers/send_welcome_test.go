package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
)

const testTimeout = time.Minute

func TestSendWelcome(t *testing.T) {
	t.Parallel()
	created := users.Created{UserID: ada, Email: mail, Name: "Ada"}

	t.Run("greets every new user once", func(t *testing.T) {
		t.Parallel()
		kit, box := start(t)
		kit.Record(created, users.Created{UserID: bob, Email: "bob@example.com", Name: "Bob"})
		want := []sent{
			{To: mail, Subject: "Welcome, Ada", Text: "Hello Ada,\n\nyour account is ready.\n"},
			{To: "bob@example.com", Subject: "Welcome, Bob", Text: "Hello Bob,\n\nyour account is ready.\n"},
		}
		got := box.all()
		for i, id := range kit.Handled("send-welcome") {
			want[i].ID = id // The event's id is the mail's key.
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("other mails than wanted (-want +got):\n%s", diff)
		}
	})

	t.Run("tries again when the mail server is busy", func(t *testing.T) {
		t.Parallel()
		kit, box := start(t)
		box.failWith(errSMTP, errSMTP)
		kit.Record(created)
		if n := len(box.all()); n != 1 {
			t.Errorf("%d mails, want 1", n)
		}
		if m := kit.Poisoned("send-welcome"); len(m) != 0 {
			t.Errorf("poison messages: %+v", m)
		}
	})

	t.Run("sends a mail that can never be sent to the poison queue, whole", func(t *testing.T) {
		t.Parallel()
		kit, box := start(t)
		box.failWith(events.Permanent(errSMTP))
		kit.Record(created)
		messages := kit.Poisoned("send-welcome")
		if len(messages) != 1 {
			t.Fatalf("%d poison messages, want 1", len(messages))
		}
		l := messages[0]
		if l.Handler != "send-welcome" || l.Attempts != 1 || l.Reason != errSMTP.Error() || l.Type != "USER_CREATED" {
			t.Errorf("the poison message is %+v", l)
		}
	})

	t.Run("understands a NestJS service, which sends no id and no headers", func(t *testing.T) {
		t.Parallel()
		kit, box := start(t)
		body := []byte(`{"type":"USER_CREATED","timestamp":"2026-11-24T10:00:00.000Z","data":{"userId":"` + ada + `","email":"ada@example.com","name":"Ada"}}`)
		kit.Deliver("user.events", "USER_CREATED", body)
		kit.Deliver("user.events", "USER_CREATED", body) // Without an id, each counts as its own.
		if n := len(box.all()); n != 2 {
			t.Errorf("%d mails, want 2", n)
		}
	})

	t.Run("sends broken JSON to the poison queue, whole, after one attempt", func(t *testing.T) {
		t.Parallel()
		kit, _ := start(t)
		kit.Deliver("user.events", "USER_CREATED", []byte(`{"broken`))
		messages := kit.Poisoned("send-welcome")
		if len(messages) != 1 {
			t.Fatalf("%d poison messages, want 1", len(messages))
		}
		if l := messages[0]; string(l.Body) != `{"broken` || l.Code != events.CodeUndecodable || l.Attempts != 1 {
			t.Errorf("the poison message is %+v", l)
		}
	})
}

func TestSendWelcome_TooLarge(t *testing.T) {
	t.Parallel()
	kit, _ := start(t)
	body := []byte(`{"type":"USER_CREATED","data":{"userId":"` + ada + `","name":"` + strings.Repeat("x", 2<<20) + `"}}`)
	kit.Deliver("user.events", "USER_CREATED", body)
	messages := kit.Poisoned("send-welcome")
	if len(messages) != 1 || messages[0].Code != events.CodeTooLarge || len(messages[0].Body) != len(body) {
		t.Errorf("%d poison messages", len(messages))
	}
}
