package sample

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// Row is a row of the projection user-directory.
type Row struct {
	ID      string `json:"id"`
	Email   string `json:"email"`
	Name    string `json:"name"`
	Closed  bool   `json:"closed"`
	Version uint64 `json:"version"`
}

// Handlers returns the command handlers create-user, change-user-email and
// deactivate-user, the reaction send-welcome (queue notification-service), which
// calls welcome, and the projection user-directory. A nil welcome does nothing.
func Handlers(welcome func(context.Context, router.Event[Created]) error) []router.Handler {
	if welcome == nil {
		welcome = func(context.Context, router.Event[Created]) error { return nil }
	}
	return []router.Handler{
		router.Decide("create-user", func(_ context.Context, c Create, u User) ([]events.Data, error) {
			if u.Exists() {
				return nil, events.Reject("USER_EXISTS", "the user %s exists already", c.UserID)
			}
			return []events.Data{Created{UserID: c.UserID, Email: c.Email, Name: c.Name}}, nil
		}),
		router.Decide("change-user-email", func(_ context.Context, c ChangeEmail, u User) ([]events.Data, error) {
			switch {
			case !u.Exists():
				return nil, events.Reject("USER_NOT_FOUND", "there is no user %s", c.UserID)
			case u.Email == c.Email:
				return nil, nil
			}
			return []events.Data{EmailChanged(c)}, nil
		}),
		router.Decide("deactivate-user", func(_ context.Context, c Deactivate, u User) ([]events.Data, error) {
			if !u.Exists() {
				return nil, events.Reject("USER_NOT_FOUND", "there is no user %s", c.UserID)
			}
			return []events.Data{Deactivated(c)}, nil
		}),
		router.On("send-welcome", welcome, router.Policy{Queue: "notification-service"}),
		router.Project("user-directory",
			router.Case(func(row *Row, e router.Event[Created]) error {
				*row = Row{ID: e.Data.UserID, Email: e.Data.Email, Name: e.Data.Name, Version: e.Version}
				return nil
			}),
			router.Case(func(row *Row, e router.Event[EmailChanged]) error {
				row.Email, row.Version = e.Data.Email, e.Version
				return nil
			}),
			router.Case(func(row *Row, e router.Event[Deactivated]) error {
				row.Closed, row.Version = true, e.Version
				return nil
			}),
		),
	}
}
