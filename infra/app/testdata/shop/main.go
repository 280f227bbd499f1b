// Command shop is an application of its own on Pitwheel: its domains, its handlers,
// and these lines.
package main

import (
	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli"

	"example.com/shop/handlers"
	"example.com/shop/orders"
	"example.com/shop/stock"
)

func main() {
	cli.Main(app.Application{
		Name:     "shop",
		Domains:  []events.Domain{orders.Register, stock.Register},
		Handlers: handlers.All,
	})
}
