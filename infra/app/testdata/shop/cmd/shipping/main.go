// Command shipping is a second service. It shares the shop's events by importing
// their package, and nothing else: it has a store and handlers of its own.
package main

import (
	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli"

	"example.com/shop/orders"
	"example.com/shop/shipping"
)

func main() {
	cli.Main(app.Application{
		Name:     "shipping",
		Domains:  []events.Domain{orders.RegisterEvents, shipping.Register},
		Handlers: shipping.Handlers,
	})
}
