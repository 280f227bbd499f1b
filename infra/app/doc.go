// Package app assembles an application: a team brings its domains and its handlers as
// an [Application], and gets a service with everything around them: connections to Redis
// and RabbitMQ, settings, HTTP, metrics, logs, and an orderly stop.
//
// # An application
//
// Its domains say which commands and events there are (package events), its handlers what
// is done about them (package router):
//
//	func main() {
//		cli.Main(app.Application{
//			Name:     "shop",                           // SHOP_REDIS_URL, ./shop.yaml
//			Domains:  []events.Domain{orders.Register}, // func(*events.Catalogue) error
//			Handlers: handlers.All,                     // func(app.Services) []router.Handler
//		})
//	}
//
// That is a whole program, with a command line (package infra/cli): shop dev runs it with
// an in-process Redis, shop serve on real brokers, and shop send, projection, poison and
// others talk to the running service. The other fields of Application are optional:
// settings and sample commands of its own, Watermill middleware, HTTP routes, further
// commands of the command line.
//
// # What handlers get
//
// [Services] is what handlers can use besides their message: a sender of commands, the
// rows of projections, the application's settings, the logger and the clock.
//
//	func All(s app.Services) []router.Handler {
//		return []router.Handler{
//			placeOrder(),
//			reserveOnOrder(s.Commands),
//			ordersByCustomer(),
//		}
//	}
//
//	func reserveOnOrder(commands app.Commands) router.Handler {
//		return router.On("reserve-on-order", func(ctx context.Context, e router.Event[orders.Placed]) error {
//			_, err := commands.Send(ctx, stock.Reserve{OrderID: e.Data.OrderID}, events.SendOptions{})
//			return err
//		})
//	}
//
// A handler passes its context on: a retried handler then sends the same command, not a
// second one. [Row] and [List] read projections:
//
//	customer, found, err := app.Row[Customer](ctx, s.Projections, "orders-by-customer", "c-17")
//
// What handlers open, such as a database, they close in [Services.OnStop]; what they
// cannot open they report with [Services.Fail].
//
// # Without a command line
//
// [New] checks the application and its settings. [App.Run] serves until its context ends,
// and then drains. Meanwhile [App.Execute] returns the outcome of a command, which is decided
// in this process if its handler runs here:
//
//	service, err := app.New(application, settings.Source{Environ: os.Environ()}, app.Options{Log: os.Stderr})
//	if err != nil { … }
//	go func() { ended <- service.Run(ctx) }()
//	outcome, err := service.Execute(ctx, orders.Place{Customer: "c-17", Total: 900}, events.SendOptions{})
//
// # Settings
//
// The framework and the application declare settings alike ([settings.Setting]). Each is
// read from a flag, else the environment, else the file, else its default. A wrong or
// unknown one is an error of New with the code CONFIG that names the nearest known one.
// Variables that Kubernetes injects for a service of the application's name, such as
// SHOP_SERVICE_HOST and SHOP_PORT_…, are not settings.
//
// # How it is assembled
//
//   - application.go has what a team brings, services.go what its handlers get
//   - definition.go checks an application without settings and brokers ([Define])
//   - settings.go has the settings of the framework; package settings reads them
//   - drivers.go connects to Redis and RabbitMQ ([Definition.Connect])
//   - transport.go tells clients what carries the messages of the service; record.go compares
//     the settings with what the store was made for, and witness.go has what remembers
//     outside of Redis how far the log was published
//   - client.go has what works on a running service from outside, as the command line does,
//     and inspect.go what asks its ledgers
//   - app.go puts drivers, handlers and HTTP around a router ([App.Run])
//   - waiting.go logs what a start waits for, and stop.go how a stop has gone
//   - topology.go has what former builds of the application have declared
//   - guard.go turns a panic of the application's functions into an error
//   - proxy.go answers 503 until the brokers are connected
//   - dev.go runs dev: an in-process Redis and each [DevService] of the application;
//     report.go shows what happens in it, and failing.go makes handlers fail
//
// An application of two services, with tests, is in testdata/shop.
package app
