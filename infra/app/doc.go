// Package app assembles an application: a team brings its domains and its handlers as
// an [Application], and gets a service with everything around them.
//
//	a := app.Application{
//		Name:     "shop",                            // SHOP_REDIS_URL, ./shop.yaml
//		Domains:  []events.Domain{orders.Register},  // what may happen, and be asked for
//		Handlers: handlers.All,                      // func(app.Services) []router.Handler
//	}
//
// Most programs hand it to cli.Main (package infra/cli), which makes a command line of
// it. Without a command line, [New] checks the application and its settings, and
// [App.Run] serves until its context ends and then drains:
//
//	service, err := app.New(a, settings.Source{Environ: os.Environ()}, app.Options{Log: os.Stderr})
//	if err != nil { … }
//	err = service.Run(ctx)
//
// Meanwhile [App.Execute] sends a command and waits for its outcome.
//
// # What handlers get
//
// [Services] is what handlers can use besides their message: a sender of commands, the
// rows of projections, the application's settings, the logger and the clock.
//
//	func All(s app.Services) []router.Handler {
//		return []router.Handler{
//			placeOrder(),
//			reserveStock(s.Commands),
//			ordersByCustomer(),
//		}
//	}
//
// # How it is assembled
//
//   - definition.go checks an application without settings and brokers ([Define])
//   - settings.go has the settings of the framework; package settings reads them
//   - drivers.go connects to Redis and RabbitMQ ([Definition.Connect])
//   - app.go puts drivers, handlers and HTTP around a router ([App.Run])
//   - proxy.go answers 503 until the brokers are connected
//   - dev.go runs dev: an in-process Redis and each [DevService] of the application
package app
