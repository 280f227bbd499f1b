package app

import (
	"strconv"
	"time"

	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
)

// frameworkSettings returns the settings that every application has. README's table
// "Settings" has the most used of them.
func frameworkSettings(application string) []settings.Setting {
	return []settings.Setting{
		{Name: "amqp_url", Client: true, Check: settings.URL("amqp", "amqps"),
			Usage: "RabbitMQ, amqp:// or amqps://; empty: commands and reactions travel over Redis Streams"},
		{Name: "redis_url", Client: true, Check: settings.URL("redis", "rediss"),
			Usage: "Redis, redis:// or rediss://, several hosts separated by commas: Redis Cluster (default the local " + application + " dev)"},
		{Name: "http_addr", Default: "127.0.0.1:8080", Check: settings.Address,
			Usage: "where commands, queries, health and metrics are served"},
		{Name: "namespace", Client: true, Check: settings.Match(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$`, "letters, digits, '-' and '_', at most 63"),
			Usage: "prefix of every exchange, queue and key"},
		{Name: "dev_redis_addr", Default: embedded.DefaultAddr, Client: true, Check: settings.Address,
			Usage: "where dev serves its in-process Redis"},
		{Name: "log_level", Default: "info", Check: settings.OneOf("debug", "info", "warn", "error"),
			Usage: "debug, info, warn or error; dev starts at warn"},
		{Name: "log_format", Check: settings.OneOf("text", "json"),
			Usage: "text or json; empty: text on a terminal, else json"},
		{Name: "drain_timeout", Default: "25s", Check: settings.DurationBetween(0, 10*time.Minute),
			Usage: "how long a stop waits for running handlers, 0s to 10m"},
		{Name: "queue_type", Default: "quorum", Check: settings.OneOf("quorum", "classic"),
			Usage: "RabbitMQ queue type, quorum or classic; fixed once a queue exists"},
		{Name: "durability", Check: settings.OneOf("fast", "strict"),
			Usage: "what Redis must keep: fast (what is older than 1 s survives a crash) or strict (everything); empty: no demand"},
		{Name: "publish", Default: redis.PublishNow, Client: true, Check: settings.OneOf(redis.PublishDurable, redis.PublishNow),
			Usage: "durable: no event is published and no command accepted before Redis has it on disk or on a replica; or now"},
		{Name: "witness_path",
			Usage: "without RabbitMQ, the file that remembers how far the log was published, to notice a Redis that has lost events; none: no file (default below $XDG_STATE_HOME or ~/.local/state)"},
		{Name: "partitions", Check: settings.IntBetween(1, 1024, ""),
			Usage: "partitions of the log, 1 to 1024, fixed when the store is made; empty: the store's, 16 for a new one"},
		{Name: "outcome_ttl", Default: "7d", Check: settings.DurationBetween(time.Minute, 3650*24*time.Hour),
			Usage: "how long the outcome of a command is kept: for as long, its id cannot be used for a second one"},
		{Name: "inbox_ttl", Default: "1d", Check: settings.DurationBetween(time.Minute, 3650*24*time.Hour),
			Usage: "how long it is kept that a handler has handled a message: for as long, it is not handled again"},
		// RabbitMQ takes no more than 128 MiB at best.
		{Name: "max_message_bytes", Default: strconv.Itoa(router.DefaultMaxBytes), Client: true, Check: settings.IntBetween(1<<10, 128<<20, "bytes"),
			Usage: "how large a message may be, 1024 to 134217728 bytes; a larger one is refused, or poisoned after one attempt"},
	}
}

// RedisURL returns the Redis that an application works with: the configured one, else
// that of a local dev.
func RedisURL(v settings.Values) string {
	if url := v.String("redis_url"); url != "" {
		return url
	}
	return "redis://" + v.String("dev_redis_addr")
}
