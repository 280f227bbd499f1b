package events

import (
	"encoding/json"
	"time"
)

// Data is the payload of an event. The wire name is on the type, so that a
// refactoring of Go names never changes what other services see.
type Data interface {
	// EventType is the wire name, such as USER_CREATED. It must answer on a zero value.
	EventType() string
}

// Command is the payload of a command: a wish that an aggregate may refuse.
type Command interface {
	// CommandType is the wire name, such as CREATE_USER. It must answer on a zero value.
	CommandType() string
	// AggregateID is the id of the aggregate the command is for. It may be empty
	// only if the command also implements [Identifiable].
	AggregateID() string
}

// Identifiable is a [Command] whose aggregate may not exist yet. Where the
// sender names no id, one is derived from the command's id, so that a repeated
// command meets its own aggregate and its own stored outcome.
type Identifiable interface {
	Command
	// WithAggregateID returns a copy of the command that is for the given aggregate.
	WithAggregateID(id string) Command
}

// Validator is a command that can tell what is wrong with itself before anyone
// has looked at an aggregate. It is asked where the command enters and again
// before the decision. It returns an error made by [Invalid].
type Validator interface {
	Validate() error
}

// Keyed is an event that knows its aggregate's id from its own data. It gives
// events from foreign producers, which send no headers, their place in the order.
type Keyed interface {
	AggregateID() string
}

// State is what the events of one aggregate fold into. Apply must be a pure
// function and must ignore events that it does not know.
type State[S any] interface {
	Apply(Data) S
}

// Header is everything about an event or a command besides its data.
type Header struct {
	// ID is a UUID in canonical form. For an event it is the key to dedupe on.
	ID string
	// Type is the wire name.
	Type string
	// Timestamp is when the event was decided or the command was sent, in UTC
	// with a precision of one millisecond. Zero if a foreign producer left it out.
	Timestamp time.Time
	// Aggregate is the aggregate's type, such as "user". Empty if unknown.
	Aggregate string
	// AggregateID is the aggregate's id; it is also the key that keeps order.
	AggregateID string
	// Version is the aggregate's version after this event, from 1 on. It is 0
	// for commands and for events that did not come from the log.
	Version uint64
	// CorrelationID is the same for everything that one request set off.
	CorrelationID string
	// CausationID is the id of the message that directly caused this one.
	CausationID string
	// SchemaVersion is the version of the data's schema, from 1 on.
	SchemaVersion int
	// Traceparent is the W3C trace context, if there is one.
	Traceparent string
}

// Envelope is an event or a command with its data still in JSON.
type Envelope struct {
	Header
	Data json.RawMessage
}

// Recorded is an event as the log holds it.
type Recorded struct {
	Envelope
	// Partition is the number of the log's partition, from 0 on.
	Partition int
	// Position is the event's place in its partition: 1, 2, 3, … without gap.
	Position uint64
}

// Cursor says how far a reader of the log has come: for each partition the
// position of the last event that it is done with, 0 if it has read none. A nil
// cursor stands at the beginning of every partition.
type Cursor []uint64

// At returns the position in a partition.
func (c Cursor) At(partition int) uint64 {
	if partition < len(c) {
		return c[partition]
	}
	return 0
}

// Clone returns a copy of at least n partitions that can be changed on its own.
func (c Cursor) Clone(n int) Cursor {
	out := make(Cursor, max(n, len(c)))
	copy(out, c)
	return out
}

// Behind returns how many events lie between c and the later cursor end.
func (c Cursor) Behind(end Cursor) uint64 {
	var n uint64
	for p, pos := range end {
		if at := c.At(p); pos > at {
			n += pos - at
		}
	}
	return n
}

// Names of what travels beside the body, as message metadata within a process
// and as properties or headers on the wire.
const (
	MetaType          = "type"
	MetaTimestamp     = "timestamp"
	MetaCorrelationID = "correlation_id"
	MetaCausationID   = "causation_id"
	MetaAggregate     = "aggregate"
	MetaAggregateID   = "aggregate_id"
	MetaVersion       = "aggregate_version"
	MetaSchemaVersion = "schema_version"
	MetaTraceparent   = "traceparent"
	MetaAppID         = "app_id"
	// MetaAttempts and MetaFirstFailed are what a message that failed carries to
	// its next attempt: how many were made, and when the first one failed.
	MetaAttempts    = "pitwheel_attempts"
	MetaFirstFailed = "pitwheel_first_failed_at"
	// MetaDue is the time before which a message that failed must not be tried
	// again; absent or past: now is right.
	MetaDue = "pitwheel_due"
	// MetaParked says that a message had to wait behind another one of its key.
	MetaParked = "pitwheel_parked"
	// MetaPause never leaves the process: set before a Nack, it is how long the
	// message's key shall rest before the next attempt, as [time.Duration] writes it.
	MetaPause = "pitwheel_pause"
)
