package users

import "github.com/pitwheel/pitwheel/events"

// Status is where a user is in its life.
type Status string

// A user that was never created has the empty status.
const (
	Active   Status = "active"
	Inactive Status = "deactivated"
)

// User is the state of one user: no more than what decisions need to know.
type User struct {
	ID     string `json:"id"`
	Email  string `json:"email"`
	Name   string `json:"name"`
	Status Status `json:"status"`
}

// Exists reports whether the user was ever created.
func (u User) Exists() bool { return u.Status != "" }

// Apply returns the user after an event.
func (u User) Apply(e events.Data) User {
	switch e := e.(type) {
	case Created:
		return User{ID: e.UserID, Email: e.Email, Name: e.Name, Status: Active}
	case EmailChanged:
		u.Email = e.Email
	case Deactivated:
		u.Status = Inactive
	}
	return u
}
