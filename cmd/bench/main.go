// Command bench compares Pitwheel with the raw clients (the limit) and with plain
// Watermill, measured one after the other in one process.
//
//	go run ./cmd/bench            every row, as long as it takes
//	go run ./cmd/bench -short     the rows that have a goal, in a minute and a half
//	go run ./cmd/bench -only rabbit-consume-quorum,redis -o json
//
// It needs RabbitMQ and Redis (PITWHEEL_AMQP_URL and PITWHEEL_REDIS_URL, or on
// this machine); a row whose broker is missing is reported as skipped. Everything it
// creates there is in namespaces of its own and is removed.
//
// RESULTS.md has what it measured; peers, a module of its own, compares Pitwheel with
// asynq, River and NATS JetStream.
//
// Where to look:
//
//	rows.go       the table of contents: every row
//	row.go        what a row is
//	measure.go    pairs of runs, one contestant after the other
//	check.go      how an error ends a row
//	stats.go      medians, ratios, goals
//	report.go     the table and the JSON
//	workload.go   the messages, and meter.go, which counts and times them
//	load.go       how commands are sent: as fast as they are answered, and at a rate
//	plain.go      what a user of Watermill would write today
//	app.go        Pitwheel, wired as cmd/pitwheel does it
//
// The other files hold the rows, by what they measure. Command peers, a module of its own,
// compares Pitwheel with other systems.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal, which begins to clean up, the second one ends the process.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
