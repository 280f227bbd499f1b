package handlers

import (
	"time"

	"github.com/pitwheel/pitwheel/events/users"
	"github.com/pitwheel/pitwheel/router"
)

// directoryRow is what the directory knows about one user.
type directoryRow struct {
	ID        string       `json:"id"`
	Email     string       `json:"email"`
	Name      string       `json:"name"`
	Status    users.Status `json:"status"`
	Version   uint64       `json:"version"`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
}

// userDirectory is the list of all users, one row a user.
func userDirectory() router.Handler {
	return router.Project("user-directory",
		router.Case(func(row *directoryRow, e router.Event[users.Created]) error {
			*row = directoryRow{ID: e.AggregateID, Email: e.Data.Email, Name: e.Data.Name, Status: users.Active, CreatedAt: e.Timestamp}
			row.Version, row.UpdatedAt = e.Version, e.Timestamp
			return nil
		}),
		router.Case(func(row *directoryRow, e router.Event[users.EmailChanged]) error {
			row.Email = e.Data.Email
			row.Version, row.UpdatedAt = e.Version, e.Timestamp
			return nil
		}),
		router.Case(func(row *directoryRow, e router.Event[users.Deactivated]) error {
			row.Status = users.Inactive
			row.Version, row.UpdatedAt = e.Version, e.Timestamp
			return nil
		}),
	)
}
