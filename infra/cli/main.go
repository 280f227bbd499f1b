package cli

import (
	"os"

	"github.com/pitwheel/pitwheel/infra/app"
)

// Main runs the command line of the process on an application, and ends the process.
// The first interrupt or SIGTERM ends the command in good order, the second one the
// process at once.
func Main(a app.Application) {
	ctx, stop := untilSignal(os.Exit)
	code := run(ctx, a, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
