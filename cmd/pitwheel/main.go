// Command pitwheel is the reference application with its command line.
package main

import (
	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
	"github.com/pitwheel/pitwheel/handlers"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli"
	"github.com/pitwheel/pitwheel/infra/mail"
	"github.com/pitwheel/pitwheel/router"
)

func main() {
	cli.Main(app.Application{
		Name:    "pitwheel",
		Domains: []events.Domain{users.Register},
		Handlers: func(s app.Services) []router.Handler {
			return handlers.All(handlers.Deps{Mailer: mail.FromServices(s)})
		},
		Settings: mail.Settings(),
		Dev:      []app.DevService{mail.DevService()},
		Samples:  app.Samples{First: users.Sample(), Generator: users.Samples},
	})
}
