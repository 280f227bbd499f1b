package handlers

import (
	"context"
	"fmt"

	"github.com/pitwheel/pitwheel/events/users"
	"github.com/pitwheel/pitwheel/router"
)

// sendWelcome greets every new user by mail. The event's id goes along, so that a
// mail that has to be sent again can be recognised as the same one. While the mail
// server is down, the circuit breaker stops the attempts.
func sendWelcome(mail Mailer) router.Handler {
	return router.On("send-welcome", func(ctx context.Context, e router.Event[users.Created]) error {
		return mail.Send(ctx, e.ID, e.Data.Email, "Welcome, "+e.Data.Name,
			fmt.Sprintf("Hello %s,\n\nyour account is ready.\n", e.Data.Name))
	}, router.Policy{Queue: "notification-service", BreakAfter: 50})
}
