package users

import (
	"net/mail"
	"strings"
	"unicode/utf8"

	"github.com/pitwheel/pitwheel/events"
)

// The bounds of what a user may be called. 254 is the longest address that SMTP
// can carry (RFC 5321, section 4.5.3.1.3, less the angle brackets).
const (
	maxEmail = 254
	maxName  = 200
)

// Create asks for a new user.
type Create struct {
	UserID string `json:"userId,omitempty" doc:"a UUID; derived from the command's id if left out"`
	Email  string `json:"email" doc:"where the user gets mail, such as ada@example.com"`
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

// Validate checks every field.
func (c Create) Validate() error {
	if c.UserID != "" {
		if err := validID(c.UserID); err != nil {
			return err
		}
	}
	if err := validEmail(c.Email); err != nil {
		return err
	}
	switch n := utf8.RuneCountInString(strings.TrimSpace(c.Name)); {
	case n == 0:
		return events.Invalid("name", "must not be empty")
	case n > maxName:
		return events.Invalid("name", "is %d characters long; at most %d are allowed", n, maxName)
	}
	return nil
}

// ChangeEmail asks to send a user's mail elsewhere from now on.
type ChangeEmail struct {
	UserID string `json:"userId" doc:"the user's id"`
	Email  string `json:"email" doc:"the new address"`
}

// CommandType returns the wire name.
func (ChangeEmail) CommandType() string { return "CHANGE_USER_EMAIL" }

// AggregateID returns the user's id.
func (c ChangeEmail) AggregateID() string { return c.UserID }

// Validate checks every field.
func (c ChangeEmail) Validate() error {
	if err := validID(c.UserID); err != nil {
		return err
	}
	return validEmail(c.Email)
}

// Deactivate asks to close a user's account.
type Deactivate struct {
	UserID string `json:"userId" doc:"the user's id"`
	Reason string `json:"reason" doc:"why, in a few words"`
}

// CommandType returns the wire name.
func (Deactivate) CommandType() string { return "DEACTIVATE_USER" }

// AggregateID returns the user's id.
func (c Deactivate) AggregateID() string { return c.UserID }

// Validate checks every field.
func (c Deactivate) Validate() error {
	if err := validID(c.UserID); err != nil {
		return err
	}
	if strings.TrimSpace(c.Reason) == "" {
		return events.Invalid("reason", "must not be empty")
	}
	return nil
}

func validID(id string) error {
	if !events.IsID(id) {
		return events.Invalid("userId", "%q is not a UUID", id)
	}
	return nil
}

func validEmail(email string) error {
	if len(email) > maxEmail {
		return events.Invalid("email", "is %d bytes long; at most %d are allowed", len(email), maxEmail)
	}
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email {
		return events.Invalid("email", "%q is not a mail address such as ada@example.com", email)
	}
	return nil
}
