// Package cli is the command line of an application: dev and serve run it, send
// triggers a command, and the others look at what it did.
package cli

import "os"

// Main runs the command line of the process and ends it.
func Main() {
	ctx, stop := untilSignal(os.Exit)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
