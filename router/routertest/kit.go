package routertest

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/internal/codec"
	"github.com/pitwheel/pitwheel/router/poison"
)

// patience bounds every wait of the kit. Usually it takes milliseconds; the rest is for
// busy machines.
const patience = 10 * time.Second

// Kit is a running application in memory.
type Kit struct {
	t         testing.TB
	catalogue *events.Catalogue
	commands  *router.Commands
	router    *router.Router
	store     *Store
	transport *Transport
	kept      *PoisonStore
	handled   handledLog
	names     names
	queues    map[string]string // by handler
	// idle reports whether no message is in flight that the transport does not know of.
	idle func() bool
}

// Start runs handlers in memory until the test ends. Pauses between attempts are
// shortened to a millisecond.
func Start(t testing.TB, catalogue *events.Catalogue, handlers ...router.Handler) *Kit {
	t.Helper()
	return StartWith(t, func(*router.Config) {}, catalogue, handlers...)
}

// StartWith is [Start] with a configuration that adapt may change: it sets any field but
// Handlers, or wraps a port, as [Faults.Inject] does. The kit's commands are sent and
// awaited through these ports, too; what the kit itself records and looks up is not.
func StartWith(t testing.TB, adapt func(*router.Config), catalogue *events.Catalogue, handlers ...router.Handler) *Kit {
	t.Helper()
	return start(t, adapt, catalogue, func(*router.Commands) []router.Handler { return handlers })
}

// StartFunc is [Start] with handlers that send commands: the function gets the sender
// that [Kit.Commands] returns, and is called once. [Kit.Settle] waits for what the commands
// lead to.
func StartFunc(t testing.TB, catalogue *events.Catalogue, handlers func(*router.Commands) []router.Handler) *Kit {
	t.Helper()
	return start(t, func(*router.Config) {}, catalogue, handlers)
}

func start(t testing.TB, adapt func(*router.Config), catalogue *events.Catalogue, build func(*router.Commands) []router.Handler) *Kit {
	t.Helper()
	k := &Kit{t: t, catalogue: catalogue, store: &Store{}, transport: &Transport{}, kept: &PoisonStore{}, queues: map[string]string{}, idle: func() bool { return true }}
	config := router.Config{
		Catalogue: catalogue, Overrides: map[string]router.Overrides{}, Transport: k.transport,
		Log: k.store, Reader: k.store, Checkpoints: k.store, Projections: k.store, Elector: k.store,
		Inbox: k.store, Parking: k.store, Poison: k.kept,
	}
	adapt(&config)
	if config.Inbox != nil {
		config.Inbox = &watchedInbox{config.Inbox, &k.handled}
	}
	if f, ok := config.Transport.(faultyTransport); ok {
		k.idle = f.idle
	}
	var err error
	k.commands, err = router.NewCommands(router.CommandsConfig{Catalogue: catalogue, Publisher: config.Transport.Publisher(), Log: config.Log})
	k.must(err)
	config.Handlers = build(k.commands)
	k.names.watched = config.Inbox != nil
	short, one := time.Millisecond, 1
	for _, h := range config.Handlers {
		if h.Kind() == router.KindProjection {
			continue
		}
		o := config.Overrides[h.Name()]
		o.Concurrency, o.Backoff, o.MaxBackoff = cmp.Or(o.Concurrency, &one), cmp.Or(o.Backoff, &short), cmp.Or(o.MaxBackoff, &short)
		config.Overrides[h.Name()] = o
	}
	infos, err := router.Describe(catalogue, config.Handlers, config.Overrides)
	k.must(err)
	for _, h := range infos {
		k.queues[h.Name] = cmp.Or(h.Queue, h.Name)
	}
	k.names.learn(catalogue, infos)
	r, err := router.New(config)
	k.must(err)
	k.router = r
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("routertest: the router did not stop cleanly: %v", err)
		}
	})
	select {
	case <-r.Running():
	case err := <-stopped:
		stopped <- err
		t.Fatalf("routertest: the router did not start: %v", err)
	case <-time.After(patience):
		t.Fatalf("routertest: the router is not ready after %s: %v", patience, r.Ready())
	}
	return k
}

// Commands returns the sender of commands, as the CLI has it.
func (k *Kit) Commands() *router.Commands { return k.commands }

// Execute decides a command as [router.Router.Execute] does, which HTTP calls for those
// who wait: at once, without a queue, if its handler may.
func (k *Kit) Execute(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Outcome, error) {
	return k.router.Execute(ctx, cmd, o)
}

// Store returns the application's log, checkpoints, inbox, parking and rows.
func (k *Kit) Store() *Store { return k.store }

// PoisonStore returns the store of its handlers' poison messages.
func (k *Kit) PoisonStore() *PoisonStore { return k.kept }

// Transport returns what its messages travel on.
func (k *Kit) Transport() *Transport { return k.transport }

// Record stores events as if commands had led to them, and returns when
// everything has reacted. Each goes to the aggregate it names.
func (k *Kit) Record(data ...events.Data) {
	k.t.Helper()
	k.record(data)
	k.Settle()
}

// Deliver puts a raw message on a topic, as a foreign producer would, and returns
// when everything has reacted. The topic must be one of the catalogue's.
func (k *Kit) Deliver(topic, eventType string, body []byte) {
	k.t.Helper()
	k.knows("topic", topic, k.names.topics)
	m := message.NewMessage("", body)
	if eventType != "" {
		m.Metadata[events.MetaType] = eventType
	}
	k.must(k.transport.publish(topic, m))
	k.Settle()
}

func (k *Kit) record(data []events.Data) {
	k.t.Helper()
	for _, d := range data {
		if isNil(d) {
			k.t.Fatalf("routertest: an event is nil")
		}
		t, ok := k.catalogue.Lookup(d.EventType())
		keyed, isKeyed := d.(events.Keyed)
		if !ok || t.Command || !isKeyed {
			k.t.Fatalf("routertest: %T must be an event in the catalogue and have an AggregateID method; there are %s", d, listed(k.catalogue.Events()))
		}
		if keyed.AggregateID() == "" {
			k.t.Fatalf("routertest: the event %s has no aggregate id: %+v", t.Name, d)
		}
		body, err := json.Marshal(d)
		k.must(err)
		h, err := k.store.Load(context.Background(), t.Aggregate, keyed.AggregateID(), "")
		k.must(err)
		id := events.NewID()
		_, err = k.store.Append(context.Background(), events.AppendRequest{
			Aggregate: t.Aggregate, AggregateID: keyed.AggregateID(), ExpectedVersion: h.Version(),
			Events: []events.Envelope{{Data: body, Header: events.Header{
				ID: id, Type: t.Name, Timestamp: time.Now().UTC().Truncate(time.Millisecond), Aggregate: t.Aggregate,
				AggregateID: keyed.AggregateID(), Version: h.Version() + 1, CorrelationID: id, SchemaVersion: t.Schema,
			}}},
			Outcome: events.Outcome{Status: events.StatusAccepted, CommandID: id},
		})
		k.must(err)
	}
}

// Settle waits until nothing is left to do: every event is relayed and projected,
// and every queue that a handler consumes is empty.
func (k *Kit) Settle() {
	k.t.Helper()
	if !poll(k.settled) {
		k.t.Fatalf("routertest: still busy after %s; is a projection held up by a failing case?", patience)
	}
}

func (k *Kit) settled() bool {
	ctx := context.Background()
	end, _ := k.store.End(ctx)
	relayed, _ := k.store.Checkpoint(ctx, "relay")
	if relayed.Behind(end) > 0 {
		return false
	}
	for _, v := range k.names.projections {
		if at, _ := k.store.ProjectionCursor(ctx, v); at.Behind(end) > 0 {
			return false
		}
	}
	if !k.transport.idle() || !k.idle() {
		return false
	}
	after, _ := k.store.End(ctx) // A reaction may have sent a command meanwhile.
	return end.Behind(after) == 0
}

// Handled returns the ids of the events that a reaction has handled, in order. The test
// fails if no reaction has that name, and without an inbox, which records them.
func (k *Kit) Handled(handler string) []string {
	k.t.Helper()
	k.knows("reaction", handler, k.names.reactions)
	if !k.names.watched {
		k.t.Fatalf("routertest: without an Inbox, what a reaction has handled is not recorded")
	}
	return k.handled.of(handler)
}

// Published returns what has been published on a topic, such as user.events, in order.
// The test fails if the catalogue has no such topic and nothing was published on it.
func (k *Kit) Published(topic string) []events.Envelope {
	k.t.Helper()
	k.transport.mu.Lock()
	defer k.transport.mu.Unlock()
	if len(k.transport.published[topic]) == 0 {
		k.knows("topic", topic, k.names.topics)
	}
	var out []events.Envelope
	for _, m := range k.transport.published[topic] {
		out = append(out, k.envelope(m))
	}
	return out
}

// Poisoned returns the poison messages of a handler: one for each message that it failed
// to process, in the order of their first failure.
func (k *Kit) Poisoned(handler string) []poison.Message {
	k.t.Helper()
	k.transport.mu.Lock()
	q := k.transport.queue(k.queueOf(handler) + ".poison")
	k.transport.mu.Unlock()
	if !poll(func() bool { return q.size() == 0 }) {
		k.t.Fatalf("routertest: the poison messages of %s are not stored after %s", handler, patience)
	}
	return k.kept.Of(handler)
}

// Retry retries the poison messages of a handler, or only those of the given messages, as
// `pitwheel poison retry` does, and returns when everything has reacted.
func (k *Kit) Retry(handler string, messageIDs ...string) {
	k.t.Helper()
	k.administer((*poison.Admin).Retry, handler, messageIDs)
}

// Discard removes the poison messages of a handler, or only those of the given messages,
// as `pitwheel poison discard` does, and returns when everything has reacted.
func (k *Kit) Discard(handler string, messageIDs ...string) {
	k.t.Helper()
	k.administer((*poison.Admin).Discard, handler, messageIDs)
}

func (k *Kit) administer(do func(*poison.Admin, context.Context, poison.Plan, poison.Options) (poison.Tally, error), handler string, messageIDs []string) {
	k.t.Helper()
	k.knows("handler", handler, slices.Collect(maps.Keys(k.queues)))
	fields := map[string][]string{"handler": {handler}}
	if len(messageIDs) > 0 {
		fields["message_id"] = messageIDs
	}
	ctx := context.Background()
	admin, err := poison.New(poison.Config{Store: k.kept, Queues: k.transport, Parking: k.store})
	k.must(err)
	plan, err := admin.Plan(ctx, poison.Selection{Filter: poison.Filter{Fields: fields}})
	k.must(err)
	for _, id := range messageIDs {
		if !slices.ContainsFunc(k.kept.Of(handler), func(m poison.Message) bool { return m.MessageID == id }) {
			k.t.Fatalf("routertest: the handler %s has no poison message for the message %q", handler, id)
		}
	}
	tally, err := do(admin, ctx, plan, poison.Options{Who: "routertest"})
	k.must(err)
	for _, p := range tally.Problems {
		k.must(p.Err)
	}
	k.Settle()
}

// queueOf is where a handler's messages wait.
func (k *Kit) queueOf(handler string) string {
	k.t.Helper()
	k.knows("handler", handler, slices.Collect(maps.Keys(k.queues)))
	return k.queues[handler]
}

// Row reads a projection's row into out, and reports whether there is one. The test fails
// if no projection has that name.
func (k *Kit) Row(projection, key string, out any) bool {
	k.t.Helper()
	k.knows("projection", projection, k.names.projections)
	rows, err := k.store.Rows(context.Background(), projection, []string{key})
	k.must(err)
	if rows[0] == nil {
		return false
	}
	k.must(json.Unmarshal(rows[0], out))
	return true
}

func (k *Kit) envelope(m *message.Message) events.Envelope {
	k.t.Helper()
	var e events.Envelope
	k.must(codec.Decode(m, &e))
	return e
}

func (k *Kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatalf("routertest: %v", err)
	}
}

// poll asks until the answer is yes, with a deadline.
func poll(done func() bool) bool {
	ticker := time.NewTicker(200 * time.Microsecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-ticker.C {
		if done() {
			return true
		}
	}
	return done()
}

// handledLog remembers which handler handled which event.
type handledLog struct {
	mu  sync.Mutex
	ids map[string][]string
}

func (h *handledLog) add(handler, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ids == nil {
		h.ids = map[string][]string{}
	}
	h.ids[handler] = append(h.ids[handler], id)
}

func (h *handledLog) of(handler string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.ids[handler]...)
}

// watchedInbox sees every event that a reaction has handled.
type watchedInbox struct {
	router.Inbox
	handled *handledLog
}

func (i *watchedInbox) Record(ctx context.Context, handler, id string) error {
	i.handled.add(handler, id)
	return i.Inbox.Record(ctx, handler, id)
}
