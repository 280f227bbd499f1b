package cli

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/pitwheel/pitwheel/infra/app"
)

// Main runs the command line of the process on an application, and ends the process.
// The first interrupt or SIGTERM ends the command gracefully, the second one the
// process at once.
func Main(a app.Application) {
	ctx, stop := untilSignal(os.Exit)
	code := run(ctx, a, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// program returns how the user can call this program again.
func program() string {
	if info, ok := debug.ReadBuildInfo(); ok && strings.Contains(os.Args[0], "go-build") {
		return "go run ." + strings.TrimPrefix(info.Path, info.Main.Path)
	}
	wd, _ := os.Getwd() // Without it, the name stays as it is.
	return programAt(os.Args[0], wd)
}

// programAt returns how a program is called in a directory that was started under a name.
func programAt(name, wd string) string {
	rel, err := filepath.Rel(wd, name)
	switch {
	case !filepath.IsAbs(name), err != nil, strings.HasPrefix(rel, ".."):
		return name // As it was typed.
	case strings.ContainsRune(rel, filepath.Separator):
		return rel
	}
	return "." + string(filepath.Separator) + rel
}

// untilSignal returns a context that ends with the first interrupt or termination.
// The second one ends the process at once. Stop restores the default handling of signals.
func untilSignal(exit func(int)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; ok {
			cancel()
		}
		if _, ok := <-signals; ok {
			exit(exitInterrupted)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}
