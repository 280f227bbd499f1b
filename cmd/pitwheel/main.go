// Command pitwheel runs the reference application and talks to it: dev and
// serve run it, send triggers a command, and the others look at what it did.
//
// Where to look:
//
//	run.go       the command line as a function that a test can call
//	settings.go  every setting, and how its value is checked
//	load.go      flag over environment over file over default
//	wire.go      the one place where drivers meet ports
//	exit.go      exit codes and how an error is told
//	print.go     tables, JSON, JSON lines and YAML
//
// Each subcommand has a file of its own name; those of poison are poison_*.go.
package main

import "os"

func main() {
	ctx, stop := untilSignal(os.Exit)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
