// Package transports records what carries the messages of running services, and for how
// long after they have ended. Package record has what the store was made for, which takes
// precedence; this says whether a service runs, and where its RabbitMQ is.
package transports

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// The kinds of transports.
const (
	RabbitMQ     = "rabbitmq"
	RedisStreams = "redis-streams"
)

const (
	// Interval is how often a running service is to record its transport.
	Interval = 3 * time.Second
	// TTL is how long a transport counts as used after it was recorded.
	TTL = time.Minute
)

// Transport is what carries messages.
type Transport struct {
	Kind string // [RabbitMQ] or [RedisStreams]
	// Address is host:port/vhost of RabbitMQ, as the service knows it: other machines may
	// know it by another name. Empty for Redis Streams.
	Address string
}

// Transports records transports. It is safe for concurrent use.
type Transports struct{ conn *conn.Conn }

// New returns the record on a connection.
func New(c *conn.Conn) *Transports { return &Transports{c} }

func (t *Transports) key(kind string) string { return t.conn.Key("transport:" + kind) }

// RecordTransport records for [TTL] that a service uses a transport.
func (t *Transports) RecordTransport(ctx context.Context, used Transport) error {
	_, err := t.conn.Do(ctx, "set", t.key(used.Kind), used.Address, "px", TTL.Milliseconds())
	return err
}

// UsedTransports returns what running services have recorded: none where no service has
// run for [TTL], and more than one where their settings differ.
func (t *Transports) UsedTransports(ctx context.Context) ([]Transport, error) {
	var used []Transport
	for _, kind := range []string{RabbitMQ, RedisStreams} { // Two keys may be in two slots of a cluster.
		reply, err := t.conn.Do(ctx, "get", t.key(kind))
		switch {
		case errors.Is(err, redis.Nil):
		case err != nil:
			return nil, err
		default:
			used = append(used, Transport{kind, conn.Text(reply)})
		}
	}
	return used, nil
}
