package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/pitwheel/pitwheel/events"
)

// Exit codes, as those of pitwheel.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// options are the flags of the command line.
type options struct {
	short    bool
	growth   bool
	only     string
	output   string
	pairs    int
	profiles string
	verbose  bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.BoolVar(&o.short, "short", false, "smaller counts, and only the rows that have a goal; a minute and a half")
	f.BoolVar(&o.growth, "growth", false, "with -short: the long rows, too")
	f.StringVar(&o.only, "only", "", "only these `rows`, separated by commas; a beginning of a name picks all that begin so")
	f.StringVar(&o.output, "o", "table", "table or json")
	f.IntVar(&o.pairs, "pairs", 3, "how often each contestant runs; the medians are reported")
	f.StringVar(&o.profiles, "profiles", "", "a `directory` for a CPU profile of Pitwheel's last run of each row")
	f.BoolVar(&o.verbose, "v", false, "show the log of the router and the drivers")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, events.Errorf(events.CodeConfig, "%q is not a flag; rows are selected with -only", f.Arg(0))
	case o.output != "table" && o.output != "json":
		return o, events.Errorf(events.CodeConfig, "-o is %q; it must be table or json", o.output)
	case o.pairs < 1:
		return o, events.Errorf(events.CodeConfig, "-pairs is %d; it must be at least 1", o.pairs)
	}
	return o, nil
}

// run measures what the command line asks for and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	var chosen []row
	if err == nil {
		chosen, err = choose(rows(), o)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return exitUsage
	}
	redis.SetLogger(&logging.VoidLogger{}) // The raw client would log to stderr.
	// As the command line sets it; here it applies to every contestant.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	b := newBench(o, os.Getenv, stderr)
	results, failed := b.all(ctx, chosen, o.pairs)
	write := printTable
	if o.output == "json" {
		write = printJSON
	}
	if err := write(stdout, results); err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return exitFailed
	}
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case failed:
		return exitFailed
	}
	return exitOK
}

// choose returns the rows that the options name.
func choose(all []row, o options) ([]row, error) {
	var out []row
	if o.only == "" {
		for _, r := range all {
			if !o.short || !r.long || o.growth {
				out = append(out, r)
			}
		}
		return out, nil
	}
	wanted := strings.Split(o.only, ",")
	for _, want := range wanted {
		if !slices.ContainsFunc(all, func(r row) bool { return r.answers(want) }) {
			return nil, events.Errorf(events.CodeConfig, "-only: no row is named %q; there are %s", want, strings.Join(names(all), ", "))
		}
	}
	for _, r := range all {
		if slices.ContainsFunc(wanted, r.answers) {
			out = append(out, r)
		}
	}
	return out, nil
}

// answers reports whether the name of the row, or of one of its figures, starts so.
func (r row) answers(want string) bool {
	return want != "" && (strings.HasPrefix(r.name, want) ||
		slices.ContainsFunc(r.figures, func(f figure) bool { return strings.HasPrefix(f.name, want) }))
}

func names(all []row) []string {
	var out []string
	for _, r := range all {
		out = append(out, r.name)
	}
	return out
}

// all measures one row after the other. A row that cannot be measured is in the
// result with the reason; failed reports whether one of them failed.
func (b *bench) all(ctx context.Context, chosen []row, pairs int) (results []result, failed bool) {
	b.probe(ctx)
	for _, r := range chosen {
		if ctx.Err() != nil {
			break
		}
		started := time.Now()
		missing := b.missing(r)
		var seen measured
		var err error
		if missing == "" {
			seen, err = b.rounds(ctx, r, pairs)
		}
		if ctx.Err() != nil {
			break
		}
		for i, f := range r.figures {
			line := without(f)
			switch {
			case missing != "":
				line.Skipped = missing
			case err != nil:
				line.Error = err.Error()
				failed = true
			default:
				line = seen.result(f, i, pairs, time.Since(started))
			}
			results = append(results, line)
		}
		b.finished(r, missing, err, time.Since(started))
	}
	return results, failed
}
