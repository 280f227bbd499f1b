package handlers_test

import (
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
)

func TestDecisions(t *testing.T) {
	t.Parallel()
	created := users.Created{UserID: ada, Email: mail, Name: "Ada"}
	closed := users.Deactivated{UserID: ada, Reason: "asked for it"}
	for _, tt := range []struct {
		name     string
		given    []events.Data
		when     events.Command
		then     []events.Data
		rejected string
	}{
		{
			name: "a new user is created",
			when: users.Create{UserID: ada, Email: mail, Name: "Ada"},
			then: []events.Data{created},
		}, {
			name:  "a user is created once",
			given: []events.Data{created},
			when:  users.Create{UserID: ada, Email: mail, Name: "Ada"}, rejected: "USER_EXISTS",
		}, {
			name: "a user needs a mail address",
			when: users.Create{UserID: ada, Email: "ada", Name: "Ada"}, rejected: "INVALID",
		}, {
			name: "a user needs a name",
			when: users.Create{UserID: ada, Email: mail, Name: " "}, rejected: "INVALID",
		}, {
			name:  "an address changes",
			given: []events.Data{created},
			when:  users.ChangeEmail{UserID: ada, Email: "ada@example.org"},
			then:  []events.Data{users.EmailChanged{UserID: ada, Email: "ada@example.org"}},
		}, {
			name:  "the address that is there already changes nothing",
			given: []events.Data{created, users.EmailChanged{UserID: ada, Email: "ada@example.org"}},
			when:  users.ChangeEmail{UserID: ada, Email: "ada@example.org"},
		}, {
			name: "the address of an unknown user does not change",
			when: users.ChangeEmail{UserID: ada, Email: mail}, rejected: "USER_NOT_FOUND",
		}, {
			name:  "an address of a closed account does not change",
			given: []events.Data{created, closed},
			when:  users.ChangeEmail{UserID: ada, Email: "ada@example.org"}, rejected: "USER_DEACTIVATED",
		}, {
			name:  "an account is closed",
			given: []events.Data{created},
			when:  users.Deactivate{UserID: ada, Reason: "asked for it"},
			then:  []events.Data{closed},
		}, {
			name:  "an account is closed once",
			given: []events.Data{created, closed},
			when:  users.Deactivate{UserID: ada, Reason: "again"}, rejected: "USER_DEACTIVATED",
		}, {
			name: "the account of an unknown user is not closed",
			when: users.Deactivate{UserID: ada, Reason: "asked for it"}, rejected: "USER_NOT_FOUND",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			kit, _ := start(t)
			scenario := kit.Given(tt.given...).When(tt.when)
			if tt.rejected != "" {
				scenario.Rejected(tt.rejected)
				return
			}
			scenario.Then(tt.then...)
		})
	}
}
