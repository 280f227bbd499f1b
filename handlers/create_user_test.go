package handlers_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
)

// The seed of the whole project.
func TestCreateUser(t *testing.T) {
	t.Parallel()
	kit, _ := start(t)
	kit.Given().When(users.Create{UserID: ada, Email: mail, Name: "Ada"}).Then(users.Created{UserID: ada, Email: mail, Name: "Ada"})
	kit.Settle()
	published := kit.Published("user.events")
	if len(published) != 1 {
		t.Fatalf("published %d events, want 1: %+v", len(published), published)
	}
	e := published[0]
	if e.Type != "USER_CREATED" || e.AggregateID != ada || e.Aggregate != "user" || e.CorrelationID == "" || e.CausationID == "" {
		t.Errorf("published with the header %+v", e.Header)
	}
	if diff := cmp.Diff(`{"userId":"`+ada+`","email":"ada@example.com","name":"Ada"}`, string(e.Data)); diff != "" {
		t.Errorf("published with other data (-want +got):\n%s", diff)
	}
}

func TestCreateUser_SameID(t *testing.T) {
	t.Parallel()
	kit, box := start(t)
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	var outcomes []events.Outcome
	for range 2 {
		receipt, err := kit.Commands().Send(ctx, users.Create{Email: mail, Name: "Ada"}, events.SendOptions{ID: "order-7"})
		if err != nil {
			t.Fatal(err)
		}
		outcome, err := kit.Commands().Await(ctx, receipt)
		if err != nil {
			t.Fatal(err)
		}
		outcomes = append(outcomes, outcome)
	}
	kit.Settle()
	if diff := cmp.Diff(outcomes[0], outcomes[1]); diff != "" {
		t.Errorf("the outcomes differ:\n%s", diff)
	}
	if n := len(kit.Published("user.events")); n != 1 {
		t.Errorf("%d events were published, want 1", n)
	}
	if n := len(box.all()); n != 1 {
		t.Errorf("%d mails were sent, want 1", n)
	}
}
