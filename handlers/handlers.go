package handlers

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
	"github.com/pitwheel/pitwheel/router"
)

// Mailer sends mail. The id is the key to dedupe on: the same id is the same mail.
type Mailer interface {
	Send(ctx context.Context, id, to, subject, text string) error
}

// Deps is what the handlers need from outside.
type Deps struct {
	Mailer Mailer
}

// All is the table of contents.
func All(d Deps) []router.Handler {
	return []router.Handler{
		createUser(),
		changeUserEmail(),
		deactivateUser(),
		sendWelcome(d.Mailer),
		userDirectory(),
	}
}

// Catalogue returns every type that the handlers work with.
func Catalogue() (*events.Catalogue, error) {
	c := events.NewCatalogue()
	return c, users.Register(c)
}
