package handlers

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
	"github.com/pitwheel/pitwheel/router"
)

// createUser creates a user, once.
func createUser() router.Handler {
	return router.Decide("create-user", func(_ context.Context, c users.Create, u users.User) ([]events.Data, error) {
		if u.Exists() {
			return nil, events.Reject("USER_EXISTS", "the user %s exists already", c.UserID)
		}
		return []events.Data{users.Created{UserID: c.UserID, Email: c.Email, Name: c.Name}}, nil
	})
}
