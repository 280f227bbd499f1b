package handlers_test

import (
	"testing"

	"github.com/pitwheel/pitwheel/events/users"
)

func TestUserDirectory(t *testing.T) {
	t.Parallel()
	kit, _ := start(t)
	kit.Record(
		users.Created{UserID: ada, Email: mail, Name: "Ada"},
		users.EmailChanged{UserID: ada, Email: "ada@example.org"},
		users.Created{UserID: bob, Email: "bob@example.com", Name: "Bob"},
		users.Deactivated{UserID: ada, Reason: "asked for it"},
	)
	type row struct {
		ID, Email, Name, Status string
		Version                 uint64
	}
	for id, want := range map[string]row{
		ada: {ada, "ada@example.org", "Ada", "deactivated", 3},
		bob: {bob, "bob@example.com", "Bob", "active", 1},
	} {
		var got row
		if !kit.Row("user-directory", id, &got) || got != want {
			t.Errorf("the row of %s is %+v, want %+v", id, got, want)
		}
	}
	var got row
	if kit.Row("user-directory", "nobody", &got) {
		t.Errorf("there is a row of nobody: %+v", got)
	}
}
