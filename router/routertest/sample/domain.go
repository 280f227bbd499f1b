// Package sample is a small domain with its handlers, for the framework's own tests
// and benchmarks. It is independent of the reference application, which can be
// deleted.
//
// A user is created, changes the address, and is deactivated: [Register] declares
// the types, and [Handlers] what is done about them.
package sample

import (
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// Create asks for a new user.
type Create struct {
	UserID string `json:"userId,omitempty" doc:"derived from the command's id if left out"`
	Email  string `json:"email" doc:"where the user gets mail"`
	Name   string `json:"name" doc:"what the user is called"`
}

// CommandType returns the wire name.
func (Create) CommandType() string { return "CREATE_USER" }

// AggregateID returns the new user's id, or empty if one is to be derived.
func (c Create) AggregateID() string { return c.UserID }

// WithAggregateID returns the command for the given user.
func (c Create) WithAggregateID(id string) events.Command {
	c.UserID = id
	return c
}

// Validate refuses a user without a name or an address.
func (c Create) Validate() error {
	switch {
	case c.Name == "":
		return events.Invalid("name", "must not be empty")
	case !strings.Contains(c.Email, "@"):
		return events.Invalid("email", "%q is not a mail address", c.Email)
	}
	return nil
}

// ChangeEmail asks to send a user's mail elsewhere.
type ChangeEmail struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
}

// CommandType returns the wire name.
func (ChangeEmail) CommandType() string { return "CHANGE_USER_EMAIL" }

// AggregateID returns the user's id.
func (c ChangeEmail) AggregateID() string { return c.UserID }

// Deactivate asks to close a user's account.
type Deactivate struct {
	UserID string `json:"userId"`
	Reason string `json:"reason"`
}

// CommandType returns the wire name.
func (Deactivate) CommandType() string { return "DEACTIVATE_USER" }

// AggregateID returns the user's id.
func (c Deactivate) AggregateID() string { return c.UserID }

// Created is the event that begins a user's history.
type Created struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
	Name   string `json:"name"`
}

// EventType returns the wire name.
func (Created) EventType() string { return "USER_CREATED" }

// AggregateID returns the user's id.
func (e Created) AggregateID() string { return e.UserID }

// EmailChanged is the event after which a user's mail goes elsewhere.
type EmailChanged struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
}

// EventType returns the wire name.
func (EmailChanged) EventType() string { return "USER_EMAIL_CHANGED" }

// AggregateID returns the user's id.
func (e EmailChanged) AggregateID() string { return e.UserID }

// Deactivated is the event that ends a user's history.
type Deactivated struct {
	UserID string `json:"userId"`
	Reason string `json:"reason"`
}

// EventType returns the wire name.
func (Deactivated) EventType() string { return "USER_DEACTIVATED" }

// AggregateID returns the user's id.
func (e Deactivated) AggregateID() string { return e.UserID }

// User is the state that the events fold into.
type User struct {
	ID     string `json:"id"`
	Email  string `json:"email"`
	Name   string `json:"name"`
	Closed bool   `json:"closed"`
}

// Exists reports whether the user was ever created.
func (u User) Exists() bool { return u.ID != "" }

// Apply returns the user after an event.
func (u User) Apply(e events.Data) User {
	switch e := e.(type) {
	case Created:
		return User{ID: e.UserID, Email: e.Email, Name: e.Name}
	case EmailChanged:
		u.Email = e.Email
	case Deactivated:
		u.Closed = true
	}
	return u
}

// Register puts the aggregate "user" and all its types into a catalogue.
func Register(c *events.Catalogue) error {
	return c.Aggregate("user",
		events.StateOf[User](),
		events.CommandOf[Create](), events.CommandOf[ChangeEmail](), events.CommandOf[Deactivate](),
		events.EventOf[Created](), events.EventOf[EmailChanged](), events.EventOf[Deactivated](),
	)
}

// Catalogue returns a catalogue of this domain alone. It panics if the domain is
// wrong, which its tests would have shown.
func Catalogue() *events.Catalogue {
	c := events.NewCatalogue()
	if err := Register(c); err != nil {
		panic(err)
	}
	return c
}
