package cli

import (
	"context"
	"fmt"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/mail"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// testApplication is the sample domain as an application named pitwheel, whose handler
// send-welcome sends mail.
func testApplication() app.Application {
	return app.Application{
		Name:    "pitwheel",
		Domains: []events.Domain{sample.Register},
		Handlers: func(s app.Services) []router.Handler {
			sender := mail.FromServices(s)
			return sample.Handlers(func(ctx context.Context, e router.Event[sample.Created]) error {
				return sender.Send(ctx, e.ID, e.Data.Email, "Welcome, "+e.Data.Name, "Hello.\n")
			})
		},
		Settings: mail.Settings(),
		Dev:      []app.DevService{mail.DevService()},
		Samples:  app.Samples{First: sample.Create{Email: "grace.hopper@example.com", Name: "Grace Hopper"}, Generator: sampleCommands},
	}
}

// sampleCommands makes up commands in turn: a user is created, gets another address,
// and is deactivated, and a command for an unknown user is rejected.
func sampleCommands() func() events.Command {
	n, user := 0, ""
	return func() events.Command {
		n++
		switch n % 4 {
		case 1:
			user = events.NewID()
			return sample.Create{UserID: user, Email: fmt.Sprintf("user.%d@example.com", n), Name: "User"}
		case 2:
			return sample.ChangeEmail{UserID: user, Email: fmt.Sprintf("user.%d@example.com", n)}
		case 3:
			return sample.Deactivate{UserID: user, Reason: "asked by mail"}
		}
		return sample.Deactivate{UserID: events.NewID(), Reason: "asked by mail"}
	}
}
