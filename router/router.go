package router

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/audit"
	"github.com/pitwheel/pitwheel/router/internal/keylock"
	"github.com/pitwheel/pitwheel/router/internal/relay"
	"github.com/pitwheel/pitwheel/router/internal/witness"
	"github.com/pitwheel/pitwheel/router/internal/workerpool"
)

// DefaultMaxBytes is the default bound of a message's body: 1 MiB.
const DefaultMaxBytes = 1 << 20

// Config is what a router is made of. Every field that is not optional is required.
type Config struct {
	// Catalogue has every type that the handlers name.
	Catalogue *events.Catalogue
	// Handlers are all handlers of the application.
	Handlers []Handler
	// Application is its name, by which a shared store tells its handlers from those of
	// others. Optional.
	Application string
	// HandlerNames names the handlers to run. Optional; empty: all. The queues of all
	// handlers are declared anyway, so that a handler that starts later misses no events.
	HandlerNames []string
	// Overrides is what operators set, by handler name. Optional.
	Overrides map[string]Overrides
	// Middleware is Watermill middleware of the application's own, from the outside in.
	// Optional. It wraps each call of a handler, inside of every stage of the pipeline: it
	// runs once for each attempt, only after the pipeline has decided that the handler is
	// to be called, and what it does is covered by the attempt's timeout, retries and
	// recovery from panics. The context of the message is the one that the handler
	// receives, also if the middleware sets another that is derived from it; commands
	// sent with it continue the correlation of the message. [HandlerName] has its handler.
	//
	// An error from the handler passes through it: if it returns nil instead, the message
	// counts as handled, unless the store failed, which is not the handler's error. It must
	// not ack or nack the message, and must not return messages.
	Middleware []message.HandlerMiddleware

	// Transport carries commands and events between processes.
	Transport Transport
	// Log, Reader, Checkpoints, Projections and Elector are usually one store.
	Log         Log
	Reader      LogReader
	Checkpoints Checkpoints
	Projections ProjectionStore
	Elector     Elector
	// Inbox is optional: without it, reactions are deduplicated by the ledger alone.
	Inbox Inbox
	// Ledger, Audit and Marker are optional, and go together: without them nobody knows
	// whether every reaction has got every event.
	Ledger Ledger
	Audit  AuditLedger
	Marker Marker
	// AuditInterval is how often the books are balanced. Default: 1 s. AuditGrace is how long
	// after its publishing an event is looked for. Default: 5 s.
	AuditInterval, AuditGrace time.Duration
	// Parking is optional: without it, later messages of a key pass one that failed also
	// in handlers that are Ordered.
	Parking Parking
	// Witness is optional: without it, a log that lost its end while no instance ran is not
	// noticed. It is the one that the log is verified by, if Reader is a [GuardedLog].
	Witness Witness
	// Poison is optional: without it, poison messages stay in their queues.
	Poison PoisonStore

	// Topology is optional: without it, a queue keeps the bindings of former builds, and
	// nobody learns what a renamed handler has left behind. Recorded is what
	// [Topology].DeclaredHandlers has returned before the start.
	Topology Topology
	Recorded []DeclaredHandler

	// MaxBytes bounds the body of a message; a larger one goes to the poison queue.
	// Default: 1 MiB.
	MaxBytes int
	// MaxInMemoryDelay is the longest pause between two attempts that a message waits in
	// memory, in its place among those of its key; for a longer one it waits at the
	// broker. Default: 1 s.
	MaxInMemoryDelay time.Duration
	// DrainTimeout bounds a stop: what is still running then is given back. Default:
	// 25 s, below the 30 s that Kubernetes grants.
	DrainTimeout time.Duration

	// Logger, WatermillLogger (for Watermill's own router) and Metrics are optional.
	Logger          *slog.Logger
	WatermillLogger watermill.LoggerAdapter
	Metrics         *Metrics
}

// withDefaults checks the configuration and fills in its defaults.
func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Catalogue == nil, c.Transport == nil, c.Log == nil, c.Reader == nil, c.Checkpoints == nil, c.Projections == nil, c.Elector == nil:
		return c, events.Errorf(events.CodeConfig, "a router needs Catalogue, Transport, Log, Reader, Checkpoints, Projections and Elector")
	case (c.Ledger == nil) != (c.Audit == nil) || (c.Ledger == nil) != (c.Marker == nil):
		return c, events.Errorf(events.CodeConfig, "a router needs Ledger, Audit and Marker together, or none of them")
	case c.MaxBytes < 0:
		return c, events.Errorf(events.CodeConfig, "MaxBytes is %d; it must not be negative", c.MaxBytes)
	case c.MaxInMemoryDelay < 0:
		return c, events.Errorf(events.CodeConfig, "MaxInMemoryDelay is %s; it must not be negative", c.MaxInMemoryDelay)
	case c.DrainTimeout < 0:
		return c, events.Errorf(events.CodeConfig, "DrainTimeout is %s; it must not be negative", c.DrainTimeout)
	}
	if i := slices.IndexFunc(c.Middleware, func(m message.HandlerMiddleware) bool { return m == nil }); i >= 0 {
		return c, events.Errorf(events.CodeConfig, "Middleware[%d] is nil", i)
	}
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 25*time.Second)
	c.MaxInMemoryDelay = cmp.Or(c.MaxInMemoryDelay, time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.WatermillLogger == nil {
		c.WatermillLogger = watermill.NopLogger{}
	}
	var err error
	if c.Metrics == nil {
		c.Metrics, err = NewMetrics(nil)
	}
	return c, err
}

// Router runs handlers. Make it with [New].
type Router struct {
	config     Config
	consumers  []*consumer
	declared   []*declaredQueue // those that are declared here, but not consumed
	projectors []*projector
	collectors []*poisonCollector
	relay      *relay.Relay
	// reactions are the plans of all reactions, whether they run here or not.
	reactions []*plan
	auditor   *audit.Auditor
	// ledgersBegun is closed once the ledgers of all reactions have begun.
	ledgersBegun chan struct{}
	queues       map[string]Subscriber // of all handlers but projections, by name
	topology     []DeclaredHandler     // all handlers of this build
	guard        *logGuard
	// commands sends what is not decided here.
	commands *Commands
	// deciders are the handlers that may decide commands here, by the name of the command.
	deciders   map[string]*consumer
	turns      keylock.Locks
	executions executions
	running    chan struct{}
	// queuesDeclared is closed once declareQueues got through.
	queuesDeclared chan struct{}
	stopping       chan struct{}
}

// New checks all declarations and prepares to run them. Whatever is wrong is an error
// with the code CONFIG that names the handler. Nothing is started.
func New(c Config) (*Router, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	plans, err := check(c.Catalogue, c.Handlers, c.Overrides)
	if err != nil {
		return nil, err
	}
	chosen, err := isChosen(plans, c.HandlerNames)
	if err != nil {
		return nil, err
	}
	r := &Router{config: c, running: make(chan struct{}), queuesDeclared: make(chan struct{}), stopping: make(chan struct{}), deciders: map[string]*consumer{},
		ledgersBegun: make(chan struct{}), queues: map[string]Subscriber{}}
	r.commands, err = NewCommands(CommandsConfig{Catalogue: c.Catalogue, Publisher: c.Transport.Publisher(), Log: c.Log, MaxBytes: c.MaxBytes, Metrics: c.Metrics})
	if err != nil {
		return nil, err
	}
	poisonQueues := c.Metrics.publisher("poison", c.Transport.QueuePublisher())
	parkedQueues := c.Metrics.publisher("parked", c.Transport.QueuePublisher())
	for _, p := range plans {
		r.topology = append(r.topology, r.declaredAs(p, chosen(p)))
		if d, ok := p.declared.(*projection); ok {
			r.addProjection(p, d, chosen(p), poisonQueues)
		} else if err := r.addConsumer(p, chosen(p), poisonQueues, parkedQueues); err != nil {
			return nil, err
		}
		if c.Poison == nil {
			continue
		}
		// Poison messages are collected for all handlers: people look for them just when a
		// handler does not run or is paused.
		k, err := r.collector(p)
		if err != nil {
			return nil, err
		}
		r.collectors = append(r.collectors, k)
	}
	r.auditor = r.newAuditor()
	r.relay = relay.New(c.Reader, c.Checkpoints, c.Metrics.publisher("relay", c.Transport.Publisher()), c.Logger)
	r.guard = newLogGuard(c)
	if c.Witness != nil {
		r.relay.RecordBy(witness.NewRecorder(c.Witness, r.guard.epoch))
	}
	return r, nil
}

// addProjection prepares a projection, if it is to run here.
func (r *Router) addProjection(p *plan, d *projection, chosen bool, poisonQueues message.Publisher) {
	if !chosen {
		return
	}
	r.showPaused(p)
	if p.policy.Paused {
		return
	}
	r.projectors = append(r.projectors, &projector{
		projection:  d,
		name:        p.name,
		types:       p.types,
		reader:      r.config.Reader,
		store:       r.config.Projections,
		poisonQueue: newPoisonQueue(p, poisonQueues),
		logger:      r.config.Logger,
	})
}

// addConsumer prepares a command handler or a reaction: to consume its queue, or only to
// declare it.
func (r *Router) addConsumer(p *plan, chosen bool, poisonQueues, parkedQueues message.Publisher) error {
	c := r.config
	if c.Parking != nil && p.policy.Ordered {
		p.blocked = newBlockedKeys(c.Parking, p.name)
	}
	account := r.account(p)
	sub, err := c.Transport.Subscriber(Subscription{
		Handler: p.name, BeforeAck: account.beforeAck(), Topic: p.topic, Types: p.consumed(), Unbind: formerTypes(c.Recorded, p), Queue: p.policy.Queue,
		Concurrency: p.policy.Concurrency, Ordered: p.policy.Ordered, Key: keyOf(c.Catalogue),
	})
	if err != nil {
		return events.Errorf(events.CodeOf(err), "handler %q: %w", p.name, err)
	}
	r.queues[p.name] = sub
	if p.Kind() == KindReaction {
		r.reactions = append(r.reactions, p)
	}
	if chosen {
		r.showPaused(p)
	}
	if !chosen || p.policy.Paused {
		r.declared = append(r.declared, &declaredQueue{Subscriber: sub, name: p.name})
		return nil
	}
	if p.policy.Rate > 0 {
		c.Metrics.rateLimit.WithLabelValues(p.name).Set(p.policy.Rate)
	}
	k := &consumer{
		plan:                  p,
		handler:               r.messageHandler(p),
		sub:                   sub,
		poisonQueue:           newPoisonQueue(p, poisonQueues),
		queues:                parkedQueues,
		delayer:               c.Transport,
		maxInMemory:           c.MaxInMemoryDelay,
		inbox:                 c.Inbox,
		account:               account,
		parking:               c.Parking,
		key:                   keyOf(c.Catalogue),
		workers:               workerpool.New(p.policy.Concurrency),
		breaker:               newBreaker(p, c.Metrics, c.Logger),
		limiter:               newLimiter(p.policy),
		receiver:              receiverOf(p, c.MaxBytes),
		applicationMiddleware: c.Middleware,
		stopping:              r.stopping,
		metrics:               c.Metrics.handler(p.name),
		logger:                c.Logger,
	}
	r.consumers = append(r.consumers, k)
	if p.Kind() == KindCommand {
		k.outcomes = c.Log
		k.turns, k.places = &r.turns, make(chan struct{}, p.policy.Concurrency)
		k.decide = k.through(k.executed())
		if !p.policy.Ordered { // Order across instances is that of the queue.
			r.deciders[p.typ().Name] = k
		}
	}
	return nil
}

// messageHandler returns what handles the messages of a command handler or a reaction.
func (r *Router) messageHandler(p *plan) messageHandler {
	c := r.config
	switch d := p.declared.(type) {
	case *command:
		aggregate, _ := c.Catalogue.AggregateOfState(d.state) // It was found when the plan was made.
		return &decider{
			command: d, handler: p.name, typ: p.typ(), aggregate: aggregate,
			catalogue: c.Catalogue, log: c.Log, maxBytes: c.MaxBytes, metrics: c.Metrics, logger: c.Logger,
		}
	case *reaction:
		return &reactor{reaction: d, handler: p.name, typ: p.typ()}
	}
	return nil // Projections have no queue.
}

// showPaused sets the metric that is 1 for a paused handler of those that are to run here.
func (r *Router) showPaused(p *plan) {
	paused := 0.0
	if p.policy.Paused {
		paused = 1
	}
	r.config.Metrics.paused.WithLabelValues(p.name).Set(paused)
}
