package redis

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/infra/redis/eventlog"
	"github.com/pitwheel/pitwheel/infra/redis/inbox"
	"github.com/pitwheel/pitwheel/infra/redis/lease"
	"github.com/pitwheel/pitwheel/infra/redis/ledger"
	"github.com/pitwheel/pitwheel/infra/redis/parking"
	"github.com/pitwheel/pitwheel/infra/redis/poisonstore"
	"github.com/pitwheel/pitwheel/infra/redis/projections"
	"github.com/pitwheel/pitwheel/infra/redis/record"
	"github.com/pitwheel/pitwheel/infra/redis/replays"
	"github.com/pitwheel/pitwheel/infra/redis/streams"
	"github.com/pitwheel/pitwheel/infra/redis/topology"
	"github.com/pitwheel/pitwheel/infra/redis/transports"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// Config says where the store is and what it keeps for how long. Only URL is needed.
type Config struct {
	// URL is redis://… or rediss://…; several hosts separated by commas are a Redis
	// Cluster. It may hold a password, which is never shown.
	URL string
	// Namespace starts every key, so that several stores share one Redis. It must not hold
	// braces, colons or spaces. Empty: keys have no prefix.
	Namespace string
	// Partitions is how many parts the log has, at most [eventlog.MaxPartitions]. It is
	// fixed when the store is made; another number than the store's is an error. 0: the
	// store's, and [eventlog.DefaultPartitions] for a new one.
	Partitions int
	// ReadOnly is for read-only clients: where there is no store none is made, and it
	// counts as an empty one with [eventlog.DefaultPartitions]. Otherwise, a Redis that may
	// evict keys is refused.
	ReadOnly bool
	// OutcomeTTL is how long the outcome of a command is kept after it ended; at least a
	// millisecond. 0: [eventlog.DefaultOutcomeTTL].
	OutcomeTTL time.Duration
	// InboxTTL is how long it is remembered at least that a message was handled; at least a
	// second. 0: [inbox.DefaultTTL].
	InboxTTL time.Duration
	// Durability is what the server must provide: [conn.DurabilityFast],
	// [conn.DurabilityStrict] or "" (anything; the log says what the server does).
	Durability string
	// Publish is [PublishDurable]: nothing is read from the log, and no command is accepted,
	// before Redis has it on disk or on a replica, which it must be able to confirm. Or it is
	// [PublishNow] or "".
	Publish string
	// Logger is told when the connection is lost or restored. Nil: nothing is logged.
	Logger *slog.Logger
	// OnState is called each time the connection is lost or restored. It must not block.
	OnState func(connected bool)
	// OnBlocked is called each time Redis begins or ceases to refuse writes, as when it is
	// out of memory. It must not block.
	OnBlocked func(blocked bool)
}

// The values of [Config].Publish.
const (
	PublishDurable = "durable"
	PublishNow     = "now"
)

// Store is everything that Pitwheel keeps in Redis: each part but the record of
// the store and that of transports implements a port of the router, and so one value implements all of them. It is safe
// for concurrent use.
type Store struct {
	*eventlog.Log
	*streams.Transport
	*projections.Projections
	*inbox.Inbox
	*ledger.Ledger
	*parking.Parking
	*poisonstore.PoisonStore
	*lease.Elector
	*transports.Transports
	*replays.Replays
	*record.StoreRecord
	*topology.Topology

	conn *conn.Conn
}

var (
	_ router.Log             = (*Store)(nil)
	_ router.LogReader       = (*Store)(nil)
	_ router.Checkpoints     = (*Store)(nil)
	_ router.ProjectionStore = (*Store)(nil)
	_ router.Inbox           = (*Store)(nil)
	_ router.Ledger          = (*Store)(nil)
	_ router.AuditLedger     = (*Store)(nil)
	_ router.LedgerAdmin     = (*Store)(nil)
	_ router.Parking         = (*Store)(nil)
	_ router.PoisonStore     = (*Store)(nil)
	_ poison.Store           = (*Store)(nil)
	_ router.Elector         = (*Store)(nil)
	_ router.Transport       = (*Store)(nil)
	_ router.Topology        = (*Store)(nil)
)

// Open connects to Redis, and makes the store if there is none. While Redis does not
// answer it waits until ctx ends; the error then has the code UNAVAILABLE. A wrong setting
// is an error with the code CONFIG that names the field of Config, at once.
//
// go-redis has one logger for the whole process. Open silences it.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	var made *record.StoreRecord
	var partitions []string
	c, err := conn.Open(ctx, conn.Config{
		URL: cfg.URL, Namespace: cfg.Namespace, Durability: cfg.Durability, ReadOnly: cfg.ReadOnly, Durable: cfg.Publish == PublishDurable,
		Logger: cfg.Logger, OnState: cfg.OnState, OnBlocked: cfg.OnBlocked,
	}, func(ctx context.Context, c *conn.Conn) (err error) {
		var n int
		made, n, err = record.Open(ctx, c, cfg.Partitions, cfg.ReadOnly)
		partitions = eventlog.OpenPartitions(c, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	s := &Store{
		Log:         eventlog.New(c, partitions, cmp.Or(cfg.OutcomeTTL, eventlog.DefaultOutcomeTTL), made.LogID),
		Inbox:       inbox.New(c, cmp.Or(cfg.InboxTTL, inbox.DefaultTTL)),
		Parking:     parking.New(c),
		PoisonStore: poisonstore.New(c),
		Elector:     lease.New(c),
		Transports:  transports.New(c),
		Replays:     replays.New(c),
		StoreRecord: made,
		Topology:    topology.New(c),
		conn:        c,
	}
	s.Projections = projections.New(c, s.Log)
	if s.Ledger, err = ledger.Open(ctx, c, len(partitions), s.Epoch); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	s.Transport = streams.New(c, s, s.Elector)
	return s, nil
}

// Prefetch looks up messages that a handler is about to receive: those of the log's events in
// the ledger, the others in the inbox.
func (s *Store) Prefetch(ctx context.Context, handler string, msgs []*message.Message) {
	s.Inbox.Prefetch(ctx, handler, s.Ledger.Prefetch(ctx, handler, msgs))
}

// Close writes what the inbox and the ledger have buffered, for a second at most each, and
// ends the connections. Calls under way end with an error.
func (s *Store) Close() error {
	s.Inbox.Close()
	s.Ledger.Close()
	s.Transport.Close()
	return s.conn.Close()
}

// Ready returns nil while Redis answers and accepts writes, else an error with the code
// UNAVAILABLE; and an error with the code CONFIG while Redis may evict keys, or
// cannot confirm what [PublishDurable] asks for.
func (s *Store) Ready() error { return s.conn.Ready() }

// Client returns the client that the store works with, for what the store itself does not
// offer. It is closed with the store.
func (s *Store) Client() goredis.UniversalClient { return s.conn.Client() }

// validate checks what no part of the store checks by itself.
func (cfg Config) validate() error {
	switch {
	case cfg.Partitions < 0 || cfg.Partitions > eventlog.MaxPartitions:
		return events.Errorf(events.CodeConfig, "%d partitions are wanted; it must be 1 to %d", cfg.Partitions, eventlog.MaxPartitions).WithField("Partitions")
	case cfg.OutcomeTTL != 0 && cfg.OutcomeTTL < time.Millisecond:
		return events.Errorf(events.CodeConfig, "outcomes are to be kept for %s; it must be at least 1ms", cfg.OutcomeTTL).WithField("OutcomeTTL")
	case cfg.InboxTTL != 0 && cfg.InboxTTL < time.Second:
		return events.Errorf(events.CodeConfig, "inbox entries are to be kept for %s; it must be at least 1s", cfg.InboxTTL).WithField("InboxTTL")
	}
	switch cfg.Publish {
	case "", PublishDurable, PublishNow:
		return nil
	}
	return events.Errorf(events.CodeConfig, "what is published is %q; it must be %q or %q", cfg.Publish, PublishDurable, PublishNow).WithField("Publish")
}
