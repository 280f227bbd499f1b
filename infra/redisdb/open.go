package redisdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// Defaults of [Config].
const (
	DefaultPartitions = 16
	DefaultOutcomeTTL = 7 * 24 * time.Hour
	DefaultInboxTTL   = 24 * time.Hour
)

// MaxPartitions bounds the partitions of a store: every reader asks for all of
// them at once.
const MaxPartitions = 1024

// Config says where the store is and how it keeps things. Only URL is needed.
type Config struct {
	// URL is redis://… or rediss://…; several hosts separated by commas are a
	// Redis Cluster. It may hold a password, which is never shown.
	URL string
	// Namespace starts every key, so that several stores share one Redis. It must
	// not hold braces, colons or spaces. Empty: keys start with nothing.
	Namespace string
	// Partitions is how many parts the log has, at most [MaxPartitions]. It is
	// settled when the store is made; another number than the store's is an error.
	// 0: the store's, and [DefaultPartitions] for a new one.
	Partitions int
	// Guest does not make a store where there is none, and takes it for one with
	// [DefaultPartitions]: whoever only looks settles nothing.
	Guest bool
	// OutcomeTTL is how long the outcome of a command is kept after it ended; at
	// least a millisecond. 0: [DefaultOutcomeTTL].
	OutcomeTTL time.Duration
	// InboxTTL is how long it is remembered at least that a message was handled; at
	// least a second. 0: [DefaultInboxTTL].
	InboxTTL time.Duration
	// Durability is what the server must keep: "fast" (what was confirmed more than
	// a second ago survives a crash), "strict" (everything that was confirmed
	// does) or "" (no demand; the log says what the server does).
	Durability string
	// Logger is told of connections lost and found. Nil: nobody is.
	Logger *slog.Logger
	// OnState is told each time the connection is lost or found again. It must
	// not block.
	OnState func(connected bool)
	// OnBlocked is told each time Redis begins or ends to refuse what is written, as
	// when it is out of memory. It must not block.
	OnBlocked func(blocked bool)
}

var _ router.Transport = (*Store)(nil)

// Store is a store in Redis. It is safe for concurrent use.
type Store struct {
	client     redis.UniversalClient
	cluster    bool
	prefix     string
	parts      []string // the start of each partition's keys
	outcomeTTL time.Duration
	inboxTTL   time.Duration
	log        *slog.Logger
	scripts    scripts
	link       *link
	calls      *coalescer[*call]
	posts      *coalescer[*call] // apart, so that a mass of messages delays no decision
	looks      *coalescer[*look]
	notes      *notes
	foresight  foresight
	bindings   bindings
}

// Open connects to Redis and settles the store's partitions. A Redis that does
// not answer is waited for until ctx is over; the error then has the code
// UNAVAILABLE. A setting that is wrong is an error with the code CONFIG, at once.
//
// go-redis has one logger for the whole process. Open silences it.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := validate(&cfg); err != nil {
		return nil, err
	}
	opts, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{
		cluster:    len(opts.Addrs) > 1,
		outcomeTTL: cfg.OutcomeTTL,
		inboxTTL:   cfg.InboxTTL,
		log:        cfg.Logger,
		scripts:    newScripts(),
	}
	if cfg.Namespace != "" {
		s.prefix = cfg.Namespace + ":"
	}
	// It writes a line to stderr for each attempt to connect. The link tells the same,
	// once.
	redis.SetLogger(silence{})
	s.client = redis.NewUniversalClient(opts)
	s.link = newLink(s.client, strings.Join(opts.Addrs, ","), cfg)
	err = s.link.await(ctx, func() error { return s.prepare(ctx, cfg) })
	if err != nil {
		s.link.close()
		_ = s.client.Close()
		return nil, err
	}
	s.link.watch(s.touch)
	s.calls = newCoalescer(callsInFlight, callsAtOnce, s.flush)
	s.looks = newCoalescer(callsInFlight, callsAtOnce, s.lookUp)
	s.notes = newNotes(s)
	s.posts = newCoalescer(callsInFlight, postsAtOnce, s.flush)
	return s, nil
}

// touch writes a little in every partition, and so, in a cluster, on every node.
func (s *Store) touch(ctx context.Context) error {
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, part := range s.parts {
			p.Set(ctx, part+"touch", "", 10*time.Second)
		}
		return nil
	})
	return err
}

// prepare reads or makes what the store is.
func (s *Store) prepare(ctx context.Context, cfg Config) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return s.link.explain(err)
	}
	if err := s.probeDurability(ctx, cfg.Durability); err != nil {
		return err
	}
	partitions, err := s.settlePartitions(ctx, cfg)
	if err != nil {
		return err
	}
	s.parts = nil
	for p := range partitions {
		s.parts = append(s.parts, fmt.Sprintf("%s{p%d}:", s.prefix, p))
	}
	return nil
}

// settlePartitions keeps the wanted number in a store that has none, and returns
// the number that the store has.
func (s *Store) settlePartitions(ctx context.Context, cfg Config) (int, error) {
	key, wanted := s.prefix+"store", cfg.Partitions
	first := cmp.Or(wanted, DefaultPartitions)
	if cfg.Guest {
		if n, err := s.client.Exists(ctx, key).Result(); err != nil || n == 0 {
			return first, s.link.explain(err)
		}
	} else if err := s.client.HSetNX(ctx, key, "partitions", first).Err(); err != nil {
		return 0, s.link.explain(err)
	}
	text, err := s.client.HGet(ctx, key, "partitions").Result()
	if err != nil {
		return 0, s.link.explain(err)
	}
	kept, err := strconv.Atoi(text)
	if err != nil || kept < 1 || kept > MaxPartitions {
		return 0, events.Errorf(events.CodeConfig, "the key %s in Redis says that the store has %q partitions; it is not a store of ours, or damaged", key, text)
	}
	if wanted != 0 && wanted != kept {
		return 0, events.Errorf(events.CodeConfig, "the store in Redis was made with %d partitions, and %d are wanted", kept, wanted).
			WithHint("leave the number out, or use another namespace: the partitions of a store cannot be changed")
	}
	return kept, nil
}

// Close ends the connections. Calls under way end with an error.
func (s *Store) Close() error {
	s.notes.close()
	s.looks.close()
	s.calls.close()
	s.posts.close()
	s.link.close()
	if err := s.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("closing the connections to Redis: %w", err)
	}
	return nil
}

// Ready returns nil while Redis answers, else an error with the code UNAVAILABLE.
func (s *Store) Ready() error { return s.link.ready() }

// Client is the client that the store works with, for what the store itself does
// not offer. It is closed with the store.
func (s *Store) Client() redis.UniversalClient { return s.client }

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func validate(cfg *Config) error {
	if strings.ContainsAny(cfg.Namespace, "{}: \t\r\n*?[]\\") {
		return events.Errorf(events.CodeConfig, "PITWHEEL_NAMESPACE is %q; it must not hold braces, brackets, colons, spaces or any of *?\\", cfg.Namespace)
	}
	if cfg.Partitions < 0 || cfg.Partitions > MaxPartitions {
		return events.Errorf(events.CodeConfig, "%d partitions are wanted; it must be 1 to %d", cfg.Partitions, MaxPartitions)
	}
	if cfg.OutcomeTTL != 0 && cfg.OutcomeTTL < time.Millisecond || cfg.InboxTTL != 0 && cfg.InboxTTL < time.Second {
		return events.Errorf(events.CodeConfig, "outcomes are to be kept for %s and inbox entries for %s; it must be at least 1ms and 1s", cfg.OutcomeTTL, cfg.InboxTTL)
	}
	if cfg.OutcomeTTL == 0 {
		cfg.OutcomeTTL = DefaultOutcomeTTL
	}
	if cfg.InboxTTL == 0 {
		cfg.InboxTTL = DefaultInboxTTL
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return validDurability(cfg.Durability)
}
