package conn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
)

// Config says which Redis to connect to. Only URL is needed.
type Config struct {
	// URL is redis://… or rediss://…; several hosts separated by commas are a Redis
	// Cluster. It may hold a password, which is never shown.
	URL string
	// Namespace starts every key. It must not hold braces, colons or spaces.
	Namespace string
	// Durability is what the server must provide: [DurabilityFast], [DurabilityStrict]
	// or "" (anything; the log says what the server does).
	Durability string
	// Durable asks for what [Conn.RunDurably] and [Conn.ReadDurably] promise: that what they
	// have written or found is on disk or on a replica. A server that cannot confirm that
	// is refused.
	Durable bool
	// ReadOnly is for clients that may look at a Redis which evicts keys; otherwise it is
	// refused.
	ReadOnly bool
	// Logger is told when the connection is lost or restored. Nil: nothing is logged.
	Logger *slog.Logger
	// OnState is called each time the connection is lost or restored. It must not block.
	OnState func(connected bool)
	// OnBlocked is called each time Redis begins or ceases to refuse writes, as when it
	// is out of memory. It must not block.
	OnBlocked func(blocked bool)
}

// Conn is a connection to Redis. It is safe for concurrent use.
type Conn struct {
	client  redis.UniversalClient
	cluster bool
	prefix  string
	log     *slog.Logger
	health  *health
	calls   *Batcher
	durable *Batcher     // the calls that wait for a confirmation
	confirm atomic.Int32 // a confirmation
	// confirmWithin bounds the wait for a confirmation.
	confirmWithin time.Duration
	probeKeys     []string
}

// Open connects to Redis and runs prepare, which may be nil. Both are repeated until they
// succeed, fail for another reason than that Redis does not answer, or ctx ends; the
// error then has the code UNAVAILABLE. A wrong setting is an error with the code CONFIG,
// at once. In prepare, only [Conn.Client], [Conn.Key], [Conn.Explain],
// [Conn.Execute] and [Conn.ProbeWrites] may be used.
//
// go-redis has one logger for the whole process. Open silences it.
func Open(ctx context.Context, cfg Config, prepare func(context.Context, *Conn) error) (*Conn, error) {
	if strings.ContainsAny(cfg.Namespace, "{}: \t\r\n*?[]\\") {
		return nil, events.Errorf(events.CodeConfig, "the namespace is %q; it must not hold braces, brackets, colons, spaces or any of *?\\", cfg.Namespace).WithField("Namespace")
	}
	if err := validDurability(cfg.Durability); err != nil {
		return nil, err
	}
	opts, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	// It writes a line to stderr for each attempt to connect. The health check logs the
	// same, once.
	redis.SetLogger(silence{})
	c := &Conn{client: redis.NewUniversalClient(opts), cluster: len(opts.Addrs) > 1, log: cfg.Logger, confirmWithin: maxConfirm}
	if opts.ReadTimeout > 0 {
		c.confirmWithin = min(maxConfirm, opts.ReadTimeout/2)
	}
	if cfg.Namespace != "" {
		c.prefix = cfg.Namespace + ":"
	}
	c.health = newHealth(c.client, strings.Join(opts.Addrs, ","), cfg)
	c.health.prefix = c.prefix
	err = c.health.await(ctx, func() error {
		if err := c.client.Ping(ctx).Err(); err != nil {
			return c.Explain(err)
		}
		if err := c.probeDurability(ctx, cfg.Durability); err != nil {
			return err
		}
		if err := c.probeFitness(ctx, cfg); err != nil {
			return err
		}
		if prepare == nil {
			return nil
		}
		return prepare(ctx, c)
	})
	if err != nil {
		_ = c.client.Close()
		return nil, err
	}
	c.health.watch(probes{writes: c.probeWrites, fitness: func(ctx context.Context) error { return c.probeFitness(ctx, cfg) }})
	c.calls, c.durable = c.NewBatcher(maxCalls), newBatcher(maxDurable, c.executeDurably)
	return c, nil
}

// probeFitness returns an error with the code CONFIG if Redis is configured in a way that
// loses what must be kept. It is asked at the start and again while running.
func (c *Conn) probeFitness(ctx context.Context, cfg Config) error {
	if cfg.Durable {
		if err := c.probeDurable(ctx); err != nil {
			return err
		}
	}
	if cfg.ReadOnly {
		return nil
	}
	return c.probeEviction(ctx)
}

// Close ends the connections. Calls under way end with an error.
func (c *Conn) Close() error {
	c.calls.Close()
	c.durable.Close()
	c.health.close()
	if err := c.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("closing the connections to Redis: %w", err)
	}
	return nil
}

// Ready returns nil while Redis answers and accepts writes, else an error with the code
// UNAVAILABLE; and an error with the code CONFIG while Redis may evict keys, or
// cannot confirm what [Config].Durable asks for.
func (c *Conn) Ready() error { return c.health.ready() }

// Explain turns an error of the client into one of the package events. Errors of contexts
// pass as they are; a Redis that cannot serve now gives the code UNAVAILABLE.
func (c *Conn) Explain(err error) error { return c.health.explain(err) }

// Client returns the client, for commands that are not to be repeated or that block. It
// is closed with the connection.
func (c *Conn) Client() redis.UniversalClient { return c.client }

// Cluster reports whether Redis is a cluster, where one command cannot wait for streams
// of several slots.
func (c *Conn) Cluster() bool { return c.cluster }

// Key returns the name of a key in the namespace.
func (c *Conn) Key(name string) string { return c.prefix + name }

// Logger returns the logger of the configuration, never nil.
func (c *Conn) Logger() *slog.Logger { return c.log }

// Slice runs a command whose reply is an array, by itself and once. In a cluster, the
// argument at firstKey says which node it goes to.
func (c *Conn) Slice(ctx context.Context, firstKey int8, args ...any) ([]any, error) {
	cmd := redis.NewSliceCmd(ctx, args...)
	cmd.SetFirstKeyPos(firstKey)
	_ = c.client.Process(ctx, cmd) // The command holds its error.
	return cmd.Result()
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
