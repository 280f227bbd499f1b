package app

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
)

// Application is what a team brings: its domains and its handlers. Name, Domains and
// Handlers are required.
type Application struct {
	// Name is made of lower-case letters, digits and dashes. It is the program's name in
	// help and logs, the app_id of messages on RabbitMQ, the name of the settings file
	// (./shop.yaml) and, in upper case, the prefix of its environment variables
	// (SHOP_AMQP_URL).
	Name string
	// Domains register the types of events and commands.
	Domains []events.Domain
	// Handlers returns all handlers. It is called once for each run, after the brokers are
	// connected, and once before, only to describe the handlers: then services are
	// not connected and return errors with the code UNAVAILABLE. It must return the same
	// handlers each time, at least one: of the same names, kinds, types and queues.
	Handlers func(services Services) []router.Handler

	// Short describes the program in one line, and Long in a few, for its help. Optional.
	Short, Long string
	// Settings are the application's own, which its handlers find in
	// [Services].Settings. Optional.
	Settings []settings.Setting
	// Samples are commands that dev sends. Optional.
	Samples Samples
	// Dev are services for dev, such as a mail catcher. Optional.
	Dev []DevService
	// Middleware is Watermill middleware around every handler of commands and events.
	// Optional.
	Middleware []message.HandlerMiddleware
	// Routes returns further HTTP handlers by their [http.ServeMux] pattern, such as "GET
	// /prices". It is called before the brokers are connected. Optional.
	Routes func(Services) map[string]http.Handler
	// Commands returns further commands of the command line, with names that it does not
	// have yet. Optional.
	Commands func(CommandLine) []*cobra.Command
}

// CommandLine is what further commands of the command line can work with.
//
// The context of a command ends with an interrupt, and has no deadline: one that waits for
// a broker or an outcome sets its own.
//
//	RunE: func(cmd *cobra.Command, _ []string) error {
//		ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
//		defer cancel()
//		services, closeAll, err := line.Connect(ctx)
//		if err != nil {
//			return err
//		}
//		defer closeAll()
//		_, err = services.Commands.Execute(ctx, command, events.SendOptions{})
//		return err
//	}
type CommandLine struct {
	// Catalogue has every type of the application.
	Catalogue *events.Catalogue
	// Settings returns the settings that the command line, environment and file give.
	// It may be called while a command runs, not before.
	Settings func() settings.Values
	// Connect connects to the running service, and waits for its brokers until the context
	// ends. closeAll ends the connections.
	Connect func(context.Context) (s Services, closeAll func() error, err error)
}

// Samples are commands for trying an application out.
type Samples struct {
	// First is sent when dev starts, and shown as the command to try next. Nil: dev sends
	// nothing, and shows a command that a handler decides.
	First events.Command
	// Generator returns a function that makes up one command after another. Dev calls it,
	// and the function once, also to check that neither returns nil. The function is called
	// by one goroutine at a time. Nil: dev has no flag --rate.
	Generator func() func() events.Command
}

// DevService runs in dev together with the application, in its process.
type DevService struct {
	// Name is shown on dev's start screen, such as "Mail".
	Name string
	// Settings are its own. Optional.
	Settings []settings.Setting
	// Start starts it. An error with the code CONFIG may name a setting in its Field.
	Start func(DevEnvironment) (*DevInstance, error)
}

// DevEnvironment is what a [DevService] is started in.
type DevEnvironment struct {
	Settings settings.Values
	Logger   *slog.Logger
	// Report prints one line of activity in dev: what has happened in one word, and the
	// rest. It is safe for concurrent use.
	Report func(what, text string)
}

// DevInstance is a running [DevService].
type DevInstance struct {
	// URL is where it can be reached.
	URL string
	// About describes it on dev's start screen. Http is the address of the application's
	// HTTP interface. Optional.
	About func(http string) string
	// Overrides replace settings of the application. One that a flag gives should be left
	// as it is. Optional.
	Overrides map[string]string
	// Routes are HTTP handlers by their pattern. Optional.
	Routes map[string]http.Handler
	// Close stops it. Optional.
	Close func() error
}
