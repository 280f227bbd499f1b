package router

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// DefaultMaxBytes is how large the body of a message may be unless told otherwise.
const DefaultMaxBytes = 1 << 20

// Config is what a router is made of. Everything without a remark is needed.
type Config struct {
	Catalogue *events.Catalogue
	Handlers  []Handler
	// Overrides is what operators set, by handler name. Optional.
	Overrides map[string]Overrides
	// Only names the handlers to run; empty means all. Queues are declared for all
	// handlers all the same, so that no event passes one by that starts later.
	Only []string

	Transport   Transport
	Log         Log
	Reader      LogReader
	Checkpoints Checkpoints
	Projections ProjectionStore
	Elector     Elector
	// Inbox is optional: without one, reactions are not deduplicated.
	Inbox Inbox
	// Parking is optional: without it, later messages of a key pass one that failed
	// also in handlers that ask for order.
	Parking Parking
	// Letters are optional: without them, poison letters stay in their queues.
	Poison PoisonStore

	// MaxBytes bounds the body of a message; a larger one is set aside after one
	// attempt. Default: 1 MiB.
	MaxBytes int

	// Logger is optional, and so is WatermillLogger, which gets what Watermill's
	// own router has to say.
	Logger          *slog.Logger
	WatermillLogger watermill.LoggerAdapter
	// Metrics are optional.
	Metrics *Metrics
	// MaxInMemoryDelay is the longest pause between two attempts that a message spends in the
	// memory of its handler, in its place among those of its key; for a longer one
	// the broker has it. Default: 1 s.
	MaxInMemoryDelay time.Duration
	// DrainTimeout bounds a stop: what is running then is given back. Default: 25 s,
	// below the 30 s that Kubernetes grants.
	DrainTimeout time.Duration
}

// Router runs handlers. Make it with [New].
type Router struct {
	config     Config
	plans      []*plan
	metrics    *Metrics
	logger     *slog.Logger
	consumers  []*consumer
	bystanders []declared
	projectors []*projector
	keepers    []*lettersKeeper
	relay      *relay
	running    chan struct{}
	stopping   chan struct{}
}

// declared is a queue to declare: its topic and who declares it.
type declared struct {
	topic string
	sub   Subscriber
}

// New checks all declarations and prepares to run them. Whatever is wrong is an
// error with the code CONFIG that names the handler; nothing is started.
func New(c Config) (*Router, error) {
	switch {
	case c.Catalogue == nil, c.Transport == nil, c.Log == nil, c.Reader == nil, c.Checkpoints == nil, c.Projections == nil, c.Elector == nil:
		return nil, events.Errorf(events.CodeConfig, "a router needs a catalogue, a transport, a log with reader and checkpoints, views and an elector")
	case c.MaxBytes < 0:
		return nil, events.Errorf(events.CodeConfig, "the largest message has %d bytes; that must not be negative", c.MaxBytes)
	case c.MaxInMemoryDelay < 0:
		return nil, events.Errorf(events.CodeConfig, "the longest rest is %s; it must not be negative", c.MaxInMemoryDelay)
	case c.DrainTimeout < 0:
		return nil, events.Errorf(events.CodeConfig, "the drain timeout is %s; it must not be negative", c.DrainTimeout)
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 25 * time.Second
	}
	if c.MaxInMemoryDelay == 0 {
		c.MaxInMemoryDelay = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.WatermillLogger == nil {
		c.WatermillLogger = watermill.NopLogger{}
	}
	if c.Metrics == nil {
		var err error
		if c.Metrics, err = NewMetrics(nil); err != nil {
			return nil, err
		}
	}
	plans, err := check(c.Catalogue, c.Handlers, c.Overrides)
	if err != nil {
		return nil, err
	}
	chosen, err := only(plans, c.Only)
	if err != nil {
		return nil, err
	}
	r := &Router{config: c, plans: chosen, metrics: c.Metrics, logger: c.Logger, running: make(chan struct{}), stopping: make(chan struct{})}
	letters := c.Metrics.publisher("poison", c.Transport.QueuePublisher())
	queues := c.Metrics.publisher("parked", c.Transport.QueuePublisher())
	isChosen := map[string]bool{}
	for _, p := range chosen {
		isChosen[p.name] = true
	}
	for _, p := range plans {
		if c.Parking != nil && p.policy.Ordered && p.kind != KindProjection {
			p.calm = newCalm(c.Parking, p.name)
		}
		if err := r.add(p, isChosen[p.name], letters, queues); err != nil {
			return nil, err
		}
		if c.Poison == nil {
			continue
		}
		// Letters are kept for all handlers: that one does not run, or is paused, is
		// when somebody looks for them.
		k, err := r.keeper(p)
		if err != nil {
			return nil, err
		}
		r.keepers = append(r.keepers, k)
	}
	r.relay, err = newRelay(c.Reader, c.Checkpoints, c.Metrics.publisher("relay", c.Transport.Publisher()), c.Logger)
	return r, err
}

// add prepares one handler. Its letters and what it has parked go into queues.
func (r *Router) add(p *plan, chosen bool, letters, queues message.Publisher) error {
	if p.kind == KindProjection {
		if !chosen {
			return nil
		}
		r.pauses(p)
		if !p.policy.Paused {
			r.projectors = append(r.projectors, &projector{plan: p, reader: r.config.Reader, views: r.config.Projections,
				letters: letters, pulse: &pulse{}, logger: r.logger})
		}
		return nil
	}
	sub, err := r.config.Transport.Subscriber(Subscription{
		Handler: p.name, Topic: p.topic, Types: p.types, Queue: p.policy.Queue,
		Concurrency: p.policy.Concurrency, Ordered: p.policy.Ordered, Key: keyOf(r.config.Catalogue),
	})
	if err != nil {
		return events.Errorf(events.CodeOf(err), "handler %q: %w", p.name, err)
	}
	if !chosen {
		r.bystanders = append(r.bystanders, declared{p.topic, sub})
		return nil
	}
	r.pauses(p)
	if p.policy.Paused {
		r.bystanders = append(r.bystanders, declared{p.topic, sub})
		return nil
	}
	c := &consumer{
		plan:     p,
		sub:      sub,
		letters:  letters,
		queues:   queues,
		delayed:  r.config.Transport,
		maxRest:  r.config.MaxInMemoryDelay,
		inbox:    r.config.Inbox,
		parking:  r.config.Parking,
		key:      keyOf(r.config.Catalogue),
		crew:     newCrew(p.policy.Concurrency),
		breaker:  newBreaker(p, r.metrics, r.logger),
		maxBytes: r.config.MaxBytes,
		stopping: r.stopping,
		metrics:  r.metrics.handler(p.name),
		logger:   r.logger,
	}
	if p.policy.Rate > 0 {
		r.metrics.rateLimit.WithLabelValues(p.name).Set(p.policy.Rate)
	}
	if p.kind == KindCommand {
		d := &decider{plan: p, catalogue: r.config.Catalogue, log: r.config.Log, maxBytes: r.config.MaxBytes, metrics: r.metrics, logger: r.logger}
		c.handle = d.handle
	} else {
		c.handle = func(ctx context.Context, e *events.Envelope) error {
			t, ok := p.byName[e.Type]
			if !ok {
				return events.Errorf(events.CodeUnknownType, "the handler %s reacts to %v, not to %q", p.name, p.types, e.Type)
			}
			return p.react(ctx, e, t)
		}
	}
	r.consumers = append(r.consumers, c)
	return nil
}

// pauses shows whether a handler that is to run here is paused.
func (r *Router) pauses(p *plan) {
	paused := 0.0
	if p.policy.Paused {
		paused = 1
	}
	r.metrics.paused.WithLabelValues(p.name).Set(paused)
}

// keyOf returns what messages are ordered by: the aggregate's id. Producers of
// ours say it beside the body; for a foreign message the data is asked.
func keyOf(c *events.Catalogue) func(*message.Message) string {
	return func(msg *message.Message) string {
		if id := msg.Metadata[events.MetaAggregateID]; id != "" {
			return id
		}
		return keyWithin(c, msg)
	}
}

// keyWithin asks a message's data for its key. If they make that panic, they have none,
// and the handler meets the same panic where it counts as a failed attempt.
func keyWithin(c *events.Catalogue, msg *message.Message) (key string) {
	_ = guarded("the key", func() error {
		var e events.Envelope
		if err := decode(msg, &e); err != nil {
			return err
		}
		v, err := c.DecodeData(e)
		if k, ok := v.(events.Keyed); ok && err == nil {
			key = k.AggregateID()
		}
		return err
	})
	return key
}
