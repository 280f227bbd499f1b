package events

import (
	"encoding/json"
	"time"
)

// Data is the payload of an event. The type has its wire name, so that renaming a Go type
// does not change what other services see.
type Data interface {
	// EventType returns the wire name, such as USER_CREATED, also for a zero value.
	EventType() string
}

// Command is the payload of a command: a request to an aggregate, which may refuse it.
type Command interface {
	// CommandType returns the wire name, such as CREATE_USER, also for a zero value.
	CommandType() string
	// AggregateID returns the id of the aggregate that the command is for. It may be empty
	// only if the command is [Identifiable].
	AggregateID() string
}

// Identifiable is a [Command] whose aggregate may not exist yet. If it has no aggregate
// id, one is derived from the command's id, so that a repeated command is for the same
// aggregate and finds its stored outcome.
type Identifiable interface {
	Command
	// WithAggregateID returns a copy of the command that is for the given aggregate.
	WithAggregateID(id string) Command
}

// Validator is a command that can be checked without its aggregate. It is checked when it
// is sent, and again before it is decided.
type Validator interface {
	// Validate returns an error made by [Invalid] or [Reject], or nil.
	Validate() error
}

// Keyed is an event whose data have its aggregate's id. Events of foreign producers, which
// send none of our headers, are ordered by it.
type Keyed interface {
	// AggregateID returns the id of the event's aggregate.
	AggregateID() string
}

// State is what the events of one aggregate fold into.
type State[S any] interface {
	// Apply returns the state after an event. It must be a pure function, and must ignore
	// events that it does not know.
	Apply(Data) S
}

// Header is everything about an event or a command besides its data.
type Header struct {
	// ID is the key to dedupe an event on: a UUID in canonical form, unless a foreign producer
	// has given its message another id; see [MessageID].
	ID string
	// Type is the wire name.
	Type string
	// Timestamp is when the event was decided or the command was sent, in UTC
	// with a precision of one millisecond. Zero if a foreign producer left it out.
	Timestamp time.Time
	// Aggregate is the aggregate's type, such as "user". Empty if unknown.
	Aggregate string
	// AggregateID is the aggregate's id, which is also the key that messages are ordered by.
	AggregateID string
	// Version is the aggregate's version after this event, from 1 on. It is 0
	// for commands and for events that did not come from the log.
	Version uint64
	// CorrelationID is the same for everything that one request caused.
	CorrelationID string
	// CausationID is the id of the message that directly caused this one.
	CausationID string
	// SchemaVersion is the version of the data's schema, 1 or more.
	SchemaVersion int
	// Traceparent is the W3C trace context; empty if there is none.
	Traceparent string
}

// Envelope is an event or a command with its data still in JSON.
type Envelope struct {
	Header
	Data json.RawMessage
}

// Recorded is an event in the log.
type Recorded struct {
	Envelope
	// Partition is the number of the log's partition, from 0 on.
	Partition int
	// Position is the event's position in its partition: 1, 2, 3, … without gaps.
	Position uint64
}

// At returns where the event is in the log.
func (r Recorded) At() LogPosition {
	return LogPosition{Partition: r.Partition, Position: r.Position}
}

// Cursor is how far a role has read the log: for each partition the position of the last
// event, 0 if it has read none. A nil cursor is at the beginning of every partition.
type Cursor []uint64

// At returns the position in a partition.
func (c Cursor) At(partition int) uint64 {
	if partition < len(c) {
		return c[partition]
	}
	return 0
}

// Clone returns a copy with at least n partitions.
func (c Cursor) Clone(n int) Cursor {
	out := make(Cursor, max(n, len(c)))
	copy(out, c)
	return out
}

// Max returns the later position of each partition, of c and of other.
func (c Cursor) Max(other Cursor) Cursor {
	out := c.Clone(len(other))
	for p, position := range other {
		out[p] = max(out[p], position)
	}
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

// Names of message metadata, which travel as properties or headers on the wire.
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
	// MetaLogPartition, MetaLogPosition and MetaLogEpoch are on every event that comes from a
	// log: where it is there, and which log that is.
	MetaLogPartition = "log_partition"
	MetaLogPosition  = "log_position"
	MetaLogEpoch     = "log_epoch"
	// MetaAgain is on an event that is to be handled even though the handler has handled it:
	// once for each value, which names the replay.
	MetaAgain = "pitwheel_again"
	// MetaHealed is on an event that was delivered again, since nobody had settled it.
	MetaHealed = "pitwheel_healed"
	// MetaMark is on a mark, which is not an event; see [LedgerRound]. Its value is the number.
	MetaMark = "pitwheel_mark"
	// MetaAttempts and MetaFirstFailed are on a message that is retried: how many attempts
	// were made, and when the first one failed.
	MetaAttempts    = "pitwheel_attempts"
	MetaFirstFailed = "pitwheel_first_failed_at"
	// MetaDue is the time before which a message that failed must not be tried again.
	MetaDue = "pitwheel_due"
	// MetaParked is on a message that was parked behind another one of its key.
	MetaParked = "pitwheel_parked"
	// MetaEntry never leaves the process: a transport that can tell a message without an id
	// from others sets it to what is the same whenever it delivers that message.
	MetaEntry = "pitwheel_entry"
	// MetaPause never leaves the process: set before a nack, it is how long the message
	// waits in memory before it is delivered again, as [time.Duration] is printed.
	MetaPause = "pitwheel_pause"
)
