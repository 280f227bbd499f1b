package main

import (
	"cmp"
	"context"
	"fmt"
)

// system is one of those that are compared.
type system struct {
	name   string // what -only selects
	title  string // with versionHere where the version of its module is to stand
	module string // its client; "" is ours
	part   int    // it takes one message of so many, where all take too long
	gives  gives
	// open connects, and creates a queue for the messages. The queue can be removed even if
	// there is an error, unless it is nil.
	open func(context.Context, addresses, string, []event) (queue, error)
}

// versionHere stands for a version in a title.
const versionHere = "{version}"

// gives is what a system does in this comparison while it is measured.
type gives struct {
	Durable       string `json:"durable"`
	Order         string `json:"order_per_key"`
	Deduplication string `json:"deduplication"`
	Metrics       string `json:"metrics"`
}

// queue is a queue of a system's own.
type queue interface {
	// publish publishes all messages, and returns when the server has confirmed them.
	publish(context.Context) error
	// consume has handle called with the id of each message, by several goroutines at once,
	// until stop is called, which waits for the last ones.
	consume(ctx context.Context, handle func(id string)) (stop func() error, err error)
	// remove removes all that was created, and disconnects.
	remove(context.Context) error
}

// systems returns all systems.
func systems() []system {
	ours := gives{Order: "yes, keys in parallel", Deduplication: "inbox", Metrics: "Prometheus"}
	onRabbit, onRedis := ours, ours
	onRabbit.Durable, onRedis.Durable = "quorum queue, confirmed", "as Redis is set (AOF)"
	return []system{
		{name: "pitwheel-rabbitmq", title: "Pitwheel, RabbitMQ", part: 1, gives: onRabbit, open: openPitwheelOnRabbit},
		{name: "pitwheel-redis", title: "Pitwheel, Redis Streams", part: 1, gives: onRedis, open: openPitwheelOnRedis},
		{name: "asynq", title: "asynq {version}, 64 workers, 16 enqueuers", module: "github.com/hibiken/asynq", part: 2, open: openAsynq,
			gives: gives{Durable: "as Redis is set (AOF)", Order: "no", Deduplication: "optional, off", Metrics: "optional, off"}},
		{name: "river", title: "River {version}, InsertManyFast, 1,000 workers", module: "github.com/riverqueue/river", part: 2, open: openRiver,
			gives: gives{Durable: "PostgreSQL, committed", Order: "no", Deduplication: "optional, off", Metrics: "optional, off"}},
		{name: "nats", title: "NATS JetStream, nats.go {version}, async publish, one callback", module: "github.com/nats-io/nats.go", part: 1, open: openNATS,
			gives: gives{Durable: "file, synced by default every 2 min", Order: "one at a time", Deduplication: "optional, off", Metrics: "of the server"}},
	}
}

// addresses are the URLs of the servers.
type addresses struct{ amqp, redis, postgres, nats string }

func addressesOf(env func(string) string) addresses {
	return addresses{
		amqp:     cmp.Or(env("PITWHEEL_AMQP_URL"), "amqp://guest:guest@127.0.0.1:5672/"),
		redis:    cmp.Or(env("PITWHEEL_REDIS_URL"), "redis://127.0.0.1:6379/0"),
		postgres: cmp.Or(env("POSTGRES_URL"), "postgres://postgres@127.0.0.1:5432/postgres"),
		nats:     cmp.Or(env("NATS_URL"), "nats://127.0.0.1:4222"),
	}
}

// missingError is returned by a system whose server does not answer. It has no text of the
// client's, which may contain the URL and the password in it.
type missingError struct{ server, variable string }

func (e missingError) Error() string {
	return fmt.Sprintf("no %s answers at %s (default: on this machine)", e.server, e.variable)
}
