package handlers

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
	"github.com/pitwheel/pitwheel/router"
)

// deactivateUser closes a user's account. It cannot be opened again.
func deactivateUser() router.Handler {
	return router.Decide("deactivate-user", func(_ context.Context, c users.Deactivate, u users.User) ([]events.Data, error) {
		switch {
		case !u.Exists():
			return nil, events.Reject("USER_NOT_FOUND", "there is no user %s", c.UserID)
		case u.Status == users.Inactive:
			return nil, events.Reject("USER_DEACTIVATED", "the user %s is deactivated already", c.UserID)
		}
		return []events.Data{users.Deactivated{UserID: c.UserID, Reason: c.Reason}}, nil
	})
}
