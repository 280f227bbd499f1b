// Command peers compares Pitwheel with what a team would use in its place: asynq on Redis,
// River on PostgreSQL, and NATS JetStream. All run after one another on one machine, several
// times, and one table has the medians. It is a module of its own, so that its dependencies
// are not Pitwheel's; run it in this folder:
//
//	go run .                          100,000 messages, three rounds: some minutes
//	go run . -n 10000 -o json
//	go run . -only pitwheel,nats
//
// It needs Redis and RabbitMQ (PITWHEEL_REDIS_URL and PITWHEEL_AMQP_URL, or on this machine),
// PostgreSQL and NATS with JetStream (POSTGRES_URL and NATS_URL, or on this machine). A system
// whose server is missing is skipped. Everything it creates has a name of its own and is
// removed, also after an interrupt.
//
// Where to look: systems.go has the table of contents, compare.go measures, and each system
// has a file.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// Exit codes, as those of pitwheel.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	redis.SetLogger(&logging.VoidLogger{}) // The client would log to stderr.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal, which begins to clean up, the second one ends the process.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the flags of the command line.
type options struct {
	messages int
	rounds   int
	only     string
	output   string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.messages, "n", 100_000, "how many messages each system publishes and consumes; slow ones take a part of them")
	f.IntVar(&o.rounds, "rounds", 3, "how often each system runs; the medians are reported")
	f.StringVar(&o.only, "only", "", "only these `systems`, separated by commas; a beginning of a name picks all that begin so")
	f.StringVar(&o.output, "o", "markdown", "markdown or json")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("%q is not a flag; systems are selected with -only", f.Arg(0))
	case o.output != "markdown" && o.output != "json":
		return o, fmt.Errorf("-o is %q; it must be markdown or json", o.output)
	case o.messages < 100:
		return o, fmt.Errorf("-n is %d; it must be at least 100", o.messages)
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds is %d; it must be at least 1", o.rounds)
	}
	return o, nil
}

// run compares what the command line asks for and returns the exit code.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	var chosen []system
	if err == nil {
		chosen, err = choose(systems(), o.only)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "peers:", err)
		return exitUsage
	}
	rows := compare(ctx, chosen, addressesOf(env), o, stderr)
	if o.output == "json" {
		err = printJSON(stdout, rows)
	} else {
		err = printMarkdown(stdout, rows)
	}
	failed := slices.ContainsFunc(rows, func(r row) bool { return r.Error != "" })
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case err != nil || failed:
		return exitFailed
	}
	return exitOK
}

// choose returns the systems whose names begin as one of the wanted ones.
func choose(all []system, only string) ([]system, error) {
	if only == "" {
		return all, nil
	}
	wanted := strings.Split(only, ",")
	var names []string
	for _, s := range all {
		names = append(names, s.name)
	}
	for _, want := range wanted {
		if want == "" || !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, want) }) {
			return nil, fmt.Errorf("-only: no system is named %q; there are %s", want, strings.Join(names, ", "))
		}
	}
	return slices.DeleteFunc(all, func(s system) bool {
		return !slices.ContainsFunc(wanted, func(want string) bool { return strings.HasPrefix(s.name, want) })
	}), nil
}

func printJSON(w io.Writer, rows []row) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(rows)
}

// printMarkdown prints a table that can be pasted into a README.
func printMarkdown(w io.Writer, rows []row) error {
	var b strings.Builder
	b.WriteString("| | publish/s | consume/s | durable | order per key | deduplication | metrics |\n|---|---:|---:|---|---|---|---|\n")
	for _, r := range rows {
		published, consumed := thousands(r.Publish), thousands(r.Consume)
		if why := r.Skipped + r.Error; why != "" {
			published, consumed = why, "–"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.Title, published, consumed, r.Durable, r.Order, r.Deduplication, r.Metrics)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// thousands writes a number in groups of three digits.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
