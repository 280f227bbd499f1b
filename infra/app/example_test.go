package app_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// A program without a command line runs its application in the background, and executes
// commands. The settings come from flags here; a service reads its environment, too, by
// Environ: os.Environ().
func ExampleNew() {
	redis, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0"}) // In production, a Redis server.
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = redis.Close() }()

	service, err := app.New(app.Application{
		Name:     "shop",
		Domains:  []events.Domain{sample.Register},
		Handlers: func(app.Services) []router.Handler { return sample.Handlers(nil) },
	}, settings.Source{Flags: map[string]string{"redis_url": redis.URL(), "http_addr": "127.0.0.1:0"}}, app.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background()) // In a service, until SIGTERM.
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()

	create := sample.Create{UserID: "0190f3c2-0000-7000-8000-00000000ada0", Email: "ada@example.com", Name: "Ada"}
	for _, id := range []string{"request 7", "request 7", "request 8"} {
		outcome, err := service.Execute(ctx, create, events.SendOptions{ID: id})
		fmt.Println(outcome.Status, outcome.Version, outcome.Code, err)
	}
	stop()
	fmt.Println("ended:", <-ended)
	// Output:
	// accepted 1  <nil>
	// accepted 1  <nil>
	// rejected 0 USER_EXISTS <nil>
	// ended: <nil>
}

// A reaction sends a follow-up command, as the application's own setting says.
func ExampleServices() {
	followed := make(chan events.Outcome, 1)
	application := app.Application{
		Name:     "shop",
		Domains:  []events.Domain{sample.Register},
		Settings: []settings.Setting{{Name: "blocked_domain", Default: "spam.example", Usage: "whose users are deactivated"}},
		Handlers: func(s app.Services) []router.Handler {
			suffix := "@" + s.Settings.String("blocked_domain")
			block := router.On("block", func(ctx context.Context, e router.Event[sample.Created]) error {
				if !strings.HasSuffix(e.Data.Email, suffix) {
					return nil
				}
				outcome, err := s.Commands.Execute(ctx, sample.Deactivate{UserID: e.AggregateID, Reason: "blocked"}, events.SendOptions{})
				if err == nil {
					followed <- outcome
				}
				return err
			})
			return append(sample.Handlers(nil), block)
		},
	}

	// Dev runs it with an in-process Redis.
	flags := map[string]string{"dev_redis_addr": "127.0.0.1:0", "http_addr": "127.0.0.1:0"}
	service, err := app.New(application, settings.Source{Flags: flags}, app.Options{Dev: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	if _, err := service.Send(ctx, sample.Create{Email: "ada@spam.example", Name: "Ada"}, events.SendOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	outcome := <-followed
	fmt.Println(outcome.Status, outcome.Events[0].Type, outcome.Version)
	stop()
	fmt.Println("ended:", <-ended)
	// Output:
	// accepted USER_DEACTIVATED 2
	// ended: <nil>
}
