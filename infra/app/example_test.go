package app_test

import (
	"context"
	"fmt"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// An application runs without a command line: here with an in-process Redis on any
// free port.
func ExampleNew() {
	a, err := app.New(app.Application{
		Name:     "members",
		Domains:  []events.Domain{sample.Register},
		Handlers: func(app.Services) []router.Handler { return sample.Handlers(nil) },
	}, settings.Source{Flags: map[string]string{
		"http_addr": "127.0.0.1:0", "dev_redis_addr": "127.0.0.1:0",
	}}, app.Options{Dev: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()

	outcome, err := a.Execute(ctx, sample.Create{Email: "ada@example.com", Name: "Ada"}, events.SendOptions{ID: "first"})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(outcome.Status, outcome.Aggregate, outcome.Version)

	stop()
	if err := <-ended; err != nil {
		fmt.Println(err)
	}
	// Output: accepted user 1
}
