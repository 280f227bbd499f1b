package router

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// The interfaces in this file are the ports of the framework. Drivers implement them, and
// are safe for concurrent use; routertest implements them in memory.

// Log stores events, and is their only source: nothing else publishes an event.
type Log interface {
	// Load returns the history of an aggregate. An aggregate that does not exist
	// has an empty one. A snapshot whose schema differs from the given one is not
	// returned, nor is one that is damaged or ahead of the log.
	Load(ctx context.Context, aggregate, id, snapshotSchema string) (events.History, error)
	// Append stores events and outcome in one write. If an outcome is stored
	// already under the same command id, that one is returned and nothing is
	// written. If the aggregate's version is not the expected one, the error has
	// the code VERSION_CONFLICT.
	Append(ctx context.Context, a events.AppendRequest) (events.Outcome, error)
	// Outcomes returns the stored outcomes of commands, in the order of their receipts, in
	// one round trip. An outcome that is not stored has an empty status.
	Outcomes(ctx context.Context, of []events.Receipt) ([]events.Outcome, error)
	// SaveSnapshot stores a state, unless a newer one is stored.
	SaveSnapshot(ctx context.Context, aggregate, id string, s events.Snapshot) error
}

// LogReader reads the log across all aggregates, for catch-up subscriptions.
type LogReader interface {
	// Partitions returns how many partitions the log has; fixed when the store was created.
	Partitions() int
	// Read returns events after a cursor, at most limit from each partition; those of
	// one partition are together and in order. If there are none, it waits for one up to
	// the given time, and then returns none.
	Read(ctx context.Context, after events.Cursor, limit int, wait time.Duration) ([]events.Recorded, error)
	// End returns the position of the last event of each partition.
	End(ctx context.Context) (events.Cursor, error)
}

// Checkpoints stores how far each role has read the log.
type Checkpoints interface {
	// Checkpoint returns how far a role has read the log; nil, or all zero, if it never has.
	Checkpoint(ctx context.Context, role string) (events.Cursor, error)
	// SaveCheckpoint never moves a partition's position back.
	SaveCheckpoint(ctx context.Context, role string, c events.Cursor) error
}

// ProjectionStore stores the rows of projections.
type ProjectionStore interface {
	// ProjectionCursor returns how far a projection has read the log; nil if it never has.
	ProjectionCursor(ctx context.Context, projection string) (events.Cursor, error)
	// Rows returns the rows of the given keys, in their order; nil for a missing one.
	Rows(ctx context.Context, projection string, keys []string) ([][]byte, error)
	// Commit writes one step of a projection. If the stored cursor is not the one
	// the step started from, the error has the code CURSOR_MOVED and nothing is written.
	Commit(ctx context.Context, c events.ProjectionCommit) error
	// List returns up to limit rows whose keys come after the given one, sorted by key.
	List(ctx context.Context, projection, after string, limit int) ([]events.Row, error)
}

// Inbox records which handler has handled which message.
type Inbox interface {
	// Seen reports whether the handler has handled the message before.
	Seen(ctx context.Context, handler, id string) (bool, error)
	// Record records that the handler has handled the message.
	Record(ctx context.Context, handler, id string) error
}

// PoisonStore stores messages that a handler failed to process, for people to search,
// retry or discard.
type PoisonStore interface {
	// StorePoison stores a poison message, or one more failure of a message that is
	// stored already. The same failure again changes nothing.
	StorePoison(ctx context.Context, m poison.Message) error
	// CountPoison returns how many poison messages there are, by handler. A handler that
	// has none may be missing.
	CountPoison(ctx context.Context) (map[string]int, error)
}

// Parking stores, for handlers that are Ordered, the messages that wait behind a failed
// message of their key, the blocker: in a handler, a key has one or none. Keys and ids
// are those of the router; a parked message is stored whole. Every method may be called
// again with the same arguments, as after a crash.
type Parking interface {
	// KeyBlocker returns the id of a key's blocker, "" if it has none. It is asked
	// before every message while any key of the handler has one.
	KeyBlocker(ctx context.Context, handler, key string) (string, error)
	// BlockKey makes a message the blocker of its key unless the key has one, and
	// returns the id of the blocker that it has then. A blocker is not parked.
	BlockKey(ctx context.Context, handler, key, id string) (string, error)
	// ParkMessage parks a message behind all that are parked of its key, unless it
	// is among them or was handled as the last blocker, and returns the id of the
	// blocker. If the key has none, or it is the message itself, nothing is parked.
	ParkMessage(ctx context.Context, handler, key, id string, msg *message.Message) (string, error)
	// ReleaseKey makes the first parked message the blocker, in place of the one with
	// the given id, and returns it; without a parked one the key has no blocker any
	// more. handled reports whether the former one was handled, or else discarded: only
	// one that was handled is remembered, and not parked again. The message stays parked
	// until UnparkMessage reports that it is in the handler's queue. A blocker that is
	// still parked is returned whatever the id: the process that was to put it into the
	// queue may have died before.
	ReleaseKey(ctx context.Context, handler, key, id string, handled bool) (next string, msg *message.Message, err error)
	// UnparkMessage ends the parking of a blocker.
	UnparkMessage(ctx context.Context, handler, key, id string) error
	// CountParked returns how many keys of a handler have a blocker, and how many
	// messages are parked. It is asked ten times a second while messages come.
	CountParked(ctx context.Context, handler string) (keys, messages int, err error)
}

// Elector elects one of several instances for a role.
type Elector interface {
	// Lead runs f whenever this instance holds the role, until ctx ends or f returns an
	// error. The context given to f ends when the role is lost. A role only saves work:
	// what f writes must be safe when two instances believe that they hold it.
	Lead(ctx context.Context, role string, f func(context.Context) error) error
}

// Transport carries messages between processes. A topic is the name of an exchange or
// stream without its namespace, such as user.commands; the metadata "type" of a message
// is its routing key.
type Transport interface {
	// Publisher publishes to topics. Publish returns when the broker has confirmed all
	// messages. A command (topic {aggregate}.commands) that no queue is bound for
	// is an error with the code UNHANDLED. It honours each message's context.
	Publisher() message.Publisher
	// QueuePublisher publishes straight into queues: its topic is a queue's name.
	QueuePublisher() message.Publisher
	// HasQueue reports whether a subscriber has ever declared a queue, so that what is
	// published into it reaches a handler that runs now or later. Publishing into a queue
	// does not count.
	HasQueue(ctx context.Context, queue string) (bool, error)
	// Delay puts messages into a queue where they arrive no sooner than after d. A
	// transport may have a longest delay, of an hour at least, and deliver sooner
	// what was to wait longer: a delayed message carries the time it is due
	// ([events.MetaDue]). Delay returns when the broker has confirmed all of them, and
	// honours ctx.
	Delay(ctx context.Context, queue string, d time.Duration, msgs ...*message.Message) error
	// Subscriber prepares to consume a queue. Nothing is declared or consumed before
	// Declare or Subscribe is called. A wrong subscription is an error with the code
	// CONFIG.
	Subscriber(Subscription) (Subscriber, error)
}

// Subscription describes what one handler receives. Only Queue is required.
type Subscription struct {
	// Handler is the handler's name, for logs.
	Handler string
	// Topic is what the queue is bound to, and Types are the binding keys. Both are
	// empty for a queue that only receives what is published straight into it.
	Topic string
	Types []string
	// Unbind are types of the topic that the queue may be bound to by a former build, and is
	// not to receive any more: their bindings are removed.
	Unbind []string
	// Queue is the name of the queue, shared by all instances of the handler.
	Queue string
	// Concurrency is how many messages, all of different keys, are handled at once.
	// 0: 16.
	Concurrency int
	// Prefetch is how many messages may be received and not yet acknowledged. 0: the
	// transport's own choice, 1,024 or more.
	Prefetch int
	// Ordered asks for the order of a key across instances: one of them consumes at a
	// time.
	Ordered bool
	// Key returns what a message is ordered by; messages without key ("") are not
	// ordered. It is called once for each message. Nil: the metadata aggregate_id.
	Key func(*message.Message) string
	// BeforeAck is called before acknowledgements are sent, for all messages that were acked
	// until then: they are sent after it returns nil, and after an error it is called again,
	// with a pause. Nil: they are sent at once.
	BeforeAck func(context.Context) error
}

// Subscriber is Watermill's subscriber of one queue, with a drain and a health
// check. A message that is nacked is delivered again, with the metadata that it has
// then, after the pause in its metadata ([events.MetaPause]) or one of the
// subscriber's own; until then its key waits, and no other key does.
type Subscriber interface {
	message.Subscriber
	// Declare declares the queue and its bindings, so that nothing published from now on
	// is missed. If the broker cannot be reached, it waits until ctx ends, or returns an
	// error with the code UNAVAILABLE; if the queue exists with other arguments, the error
	// has the code CONFIG. It may be called again.
	Declare(ctx context.Context) error
	// Drain stops receiving at once, waits until every message delivered is acked or
	// nacked and its acknowledgement is sent, and then ends the subscription. When ctx
	// ends first, it returns ctx's error; the broker delivers again what is left.
	Drain(ctx context.Context) error
	// Ready returns nil while the subscription is consuming, and otherwise why it is not.
	Ready() error
}
