// Package cli is the command line of an application. A team's whole program is
//
//	func main() {
//		cli.Main(app.Application{
//			Name:     "shop",
//			Domains:  []events.Domain{orders.Register, stock.Register},
//			Handlers: handlers.All, // func(app.Services) []router.Handler
//		})
//	}
//
// and has these commands:
//
//	shop dev                 run everything in one process, for trying out
//	shop serve               run the handlers on Redis and RabbitMQ
//	shop send TYPE           send a command; with --help its fields
//	shop handler list, show  the handlers with their settings, and what former ones have left behind
//	shop handler replay      history to one handler
//	shop handler rename, remove   move or drop what a former handler has left behind
//	shop ledger              every event accounted for; exit 3 if any is missing
//	shop event list, tail    the log: what is stored, and what is new
//	shop aggregate …         history and state of one aggregate
//	shop projection …        rows; rebuild
//	shop log recover         what the log has lost, if Redis was put back
//	shop store show, adopt   what the store in Redis was made for; change that on purpose
//	shop poison …            messages that a handler failed to process
//	shop config …            print the settings with their sources; validate them
//	shop completion, version
//
// dev and serve run the application ([app.App]); all others are clients that connect to
// the brokers of a running service. [app.Application] lists what else a program can add,
// such as commands of its own.
//
// Data goes to stdout, everything else to stderr. Lists have -q, --no-headers and, where
// they change, --watch; these are in list.go. Each command is in the file of its name,
// those of poison in poison_*.go, those of handler in handler_*.go and replay.go; screen.go and try.go have what dev shows at its start,
// and watch.go builds and restarts it when a file is saved. run.go puts all together,
// client.go connects them, and exit.go has the exit codes. Package input has what commands
// take, package output what they print, and package source builds the program again.
package cli
