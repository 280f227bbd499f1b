package users

import "github.com/pitwheel/pitwheel/events"

// Created says that a user exists from now on.
type Created struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
	Name   string `json:"name"`
}

// EventType returns the wire name.
func (Created) EventType() string { return "USER_CREATED" }

// AggregateID returns the user's id.
func (e Created) AggregateID() string { return e.UserID }

// EmailChanged says that a user's mail goes elsewhere from now on.
type EmailChanged struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
}

// EventType returns the wire name.
func (EmailChanged) EventType() string { return "USER_EMAIL_CHANGED" }

// AggregateID returns the user's id.
func (e EmailChanged) AggregateID() string { return e.UserID }

// Deactivated says that a user's account is closed.
type Deactivated struct {
	UserID string `json:"userId"`
	Reason string `json:"reason"`
}

// EventType returns the wire name.
func (Deactivated) EventType() string { return "USER_DEACTIVATED" }

// AggregateID returns the user's id.
func (e Deactivated) AggregateID() string { return e.UserID }

// Register puts the user aggregate and all its types into a catalogue.
func Register(c *events.Catalogue) error {
	return c.Aggregate("user",
		events.StateOf[User](),
		events.CommandOf[Create](),
		events.CommandOf[ChangeEmail](),
		events.CommandOf[Deactivate](),
		events.EventOf[Created](),
		events.EventOf[EmailChanged](),
		events.EventOf[Deactivated](),
	)
}
