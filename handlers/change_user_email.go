package handlers

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
	"github.com/pitwheel/pitwheel/router"
)

// changeUserEmail sends a user's mail elsewhere from now on. The address that the
// user has already is accepted, and nothing happens.
func changeUserEmail() router.Handler {
	return router.Decide("change-user-email", func(_ context.Context, c users.ChangeEmail, u users.User) ([]events.Data, error) {
		switch {
		case !u.Exists():
			return nil, events.Reject("USER_NOT_FOUND", "there is no user %s", c.UserID)
		case u.Status == users.Inactive:
			return nil, events.Reject("USER_DEACTIVATED", "the user %s is deactivated; its address stays as it is", c.UserID)
		case u.Email == c.Email:
			return nil, nil
		}
		return []events.Data{users.EmailChanged{UserID: c.UserID, Email: c.Email}}, nil
	})
}
