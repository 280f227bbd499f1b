package router

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// Log is where events are remembered, and the only place they leave from.
// Implementations are safe for concurrent use.
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
	// Outcome returns the stored outcome of a command, and whether there is one.
	Outcome(ctx context.Context, aggregate, id, commandID string) (events.Outcome, bool, error)
	// SaveSnapshot keeps a state; an older one than the stored is dropped.
	SaveSnapshot(ctx context.Context, aggregate, id string, s events.Snapshot) error
}

// LogReader reads the log across all aggregates.
type LogReader interface {
	// Partitions is how many partitions the log has; fixed when the store was made.
	Partitions() int
	// Read returns events after a cursor, at most limit from each partition; those
	// of one partition are together and in order. If there are none it waits up to
	// wait for one, and then returns none.
	Read(ctx context.Context, after events.Cursor, limit int, wait time.Duration) ([]events.Recorded, error)
	// End returns the position of the last event of each partition.
	End(ctx context.Context) (events.Cursor, error)
}

// Checkpoints keep how far a role has read the log.
type Checkpoints interface {
	// Checkpoint returns how far a role has read the log; nil, or all zero, if it never has.
	Checkpoint(ctx context.Context, role string) (events.Cursor, error)
	// SaveCheckpoint never moves a partition's position back.
	SaveCheckpoint(ctx context.Context, role string, c events.Cursor) error
}

// ProjectionStore holds the rows of projections.
type ProjectionStore interface {
	// ProjectionCursor returns how far a projection has read the log.
	ProjectionCursor(ctx context.Context, projection string) (events.Cursor, error)
	// Rows returns the rows of the given keys, in their order; nil for a missing one.
	Rows(ctx context.Context, projection string, keys []string) ([][]byte, error)
	// Commit writes one step of a projection. If the stored cursor is not the one
	// the step started from, the error has the code CURSOR_MOVED and nothing is written.
	Commit(ctx context.Context, c events.ProjectionCommit) error
	// List returns up to limit rows whose keys come after the given one, sorted by key.
	List(ctx context.Context, projection, after string, limit int) ([]events.Row, error)
}

// Inbox remembers which handler has handled which message.
type Inbox interface {
	// Seen tells whether the handler has handled the message before.
	Seen(ctx context.Context, handler, id string) (bool, error)
	// Record remembers that the handler has handled the message.
	Record(ctx context.Context, handler, id string) error
}

// PoisonStore keeps what handlers could not handle, for people to search and mend.
type PoisonStore interface {
	// StorePoison keeps a letter, or one more failure of a letter that is kept
	// already. The same failure again changes nothing.
	StorePoison(ctx context.Context, l poison.Message) error
	// CountPoison returns how many letters there are, by handler. A handler that
	// has none may be missing.
	CountPoison(ctx context.Context) (map[string]int, error)
}

// Parking keeps, for handlers that ask for order, what must wait behind a failed
// message of its key, the blocker: in a handler, a key has one or none. Keys and ids
// are those of the router; a parked message is kept whole. Every method may be
// called again with the same arguments, as after a crash.
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
	// more. handled tells whether the former one was handled or given up: only what
	// was handled is remembered, and not parked again. The message stays parked until
	// UnparkMessage says that it is in the handler's queue. A blocker that is parked
	// still is returned whatever the id: whoever was to put it into the queue may not
	// have come to it.
	ReleaseKey(ctx context.Context, handler, key, id string, handled bool) (next string, msg *message.Message, err error)
	// UnparkMessage ends the parking of a blocker.
	UnparkMessage(ctx context.Context, handler, key, id string) error
	// CountParked returns how many keys of a handler have a blocker, and how many
	// messages are parked. It is asked ten times a second while messages come.
	CountParked(ctx context.Context, handler string) (keys, messages int, err error)
}

// Elector picks one of several instances for a role.
type Elector interface {
	// Lead runs f whenever this instance holds the role, until ctx is over or f
	// returns an error. The context given to f ends when the role is lost.
	// Holding a role only saves work: what f writes must be safe when two
	// instances believe they hold it.
	Lead(ctx context.Context, role string, f func(context.Context) error) error
}

// Transport carries messages between processes. A topic is the name of an
// exchange or stream without its namespace, such as user.commands; the metadata
// "type" of a message is its routing key. Implementations are safe for concurrent use.
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

// Subscription is what one handler wants to receive. Only Queue is required.
type Subscription struct {
	// Handler is the handler's name, for logs.
	Handler string
	// Topic is what the queue is bound to, and Types are the binding keys. Both are
	// empty for a queue that only receives what is published straight into it.
	Topic string
	Types []string
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
}

// Subscriber is Watermill's subscriber of one queue, with a drain and a health
// check. A message that is nacked is delivered again, with the metadata that it has
// then, after the pause in its metadata ([events.MetaPause]) or one of the
// subscriber's own; until then its key waits, and no other key does.
type Subscriber interface {
	message.Subscriber
	// Declare makes the queue and its bindings, so that nothing published from now on
	// is missed. A broker that is away is waited for until ctx ends, or is an error with
	// the code UNAVAILABLE; a queue that cannot be declared as wanted, as it exists with
	// other arguments, is one with the code CONFIG. It may be called again.
	Declare(ctx context.Context) error
	// Drain stops receiving at once, waits until every message delivered is
	// settled and its acknowledgement is sent, and then ends the subscription.
	// When ctx ends it gives up what is left, which the broker delivers again,
	// and returns ctx's error.
	Drain(ctx context.Context) error
	// Ready returns nil while the subscription is consuming, else why it is not.
	Ready() error
}
