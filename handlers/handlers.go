package handlers

import (
	"context"

	"github.com/pitwheel/pitwheel/router"
)

// Mailer sends mail. The id is the key to deduplicate by: the same id is the same mail.
type Mailer interface {
	Send(ctx context.Context, id, to, subject, text string) error
}

// Deps is what the handlers need from outside.
type Deps struct {
	Mailer Mailer
}

// All returns all handlers. It is the table of contents of this package.
func All(d Deps) []router.Handler {
	return []router.Handler{
		createUser(),
		changeUserEmail(),
		deactivateUser(),
		sendWelcome(d.Mailer),
		userDirectory(),
	}
}
