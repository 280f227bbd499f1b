package poison

import (
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// Message is a poison message: a message that a handler failed to process, kept whole,
// with everything one needs to understand it. There is one for a handler and a message,
// however often that fails.
type Message struct {
	// ID is the same for every failure of the message; see [ID].
	ID string
	// Handler failed to process the message, Kind is its kind ("command", "reaction" or
	// "projection"), and Queue is the queue that it consumes.
	Handler, Kind, Queue string
	// Topic is what the queue is bound to. Empty for a projection, which reads the log.
	Topic string
	// Type is the message's wire name, Key the id of its aggregate; both may be empty, as
	// anybody may have published it.
	Type, Key string
	// MessageID is the message's id, as its handler sees it.
	MessageID     string
	CorrelationID string
	// Code and Reason are the error's code and text, at most about 2 KiB. Frame is where
	// the handler panicked, and Stack the stack then, at most about 4 KiB; empty if it did
	// not panic.
	Code, Reason, Frame, Stack string
	// Source says what sent the message to the poison queue: [FromRouter] or [FromBroker].
	Source string
	// Attempts is how often the handler was called before the last failure; 0 if unknown.
	Attempts int
	// Failures is how often the message was sent to the poison queue: once, and once more
	// for each retry that failed.
	Failures int
	// FirstFailedAt is when the first attempt of all failed, LastFailedAt when the message
	// was last sent to the poison queue. Both are UTC, to the millisecond.
	FirstFailedAt, LastFailedAt time.Time
	// Size is the body's length in bytes.
	Size int
	// Metadata are the message's headers, as they came, and Body the body, byte for byte.
	// A list leaves out Metadata, Stack and Body.
	Metadata map[string]string
	Body     []byte
	// Revision changes with every change of the message in its store. It is not part of
	// the JSON.
	Revision int64
}

// What sent a message to the poison queue.
const (
	FromRouter = "router" // the router, as the handler failed
	FromBroker = "broker" // the broker: too many deliveries, or expired
)

// The kinds of handlers, as the router names them.
const (
	kindCommand    = "command"
	kindReaction   = "reaction"
	kindProjection = "projection"
)

// ID returns the id of the poison message for a message and the handler that failed to
// process it.
func ID(handler, messageID string) string {
	return events.DeriveID("letter", handler, messageID) // The word is in ids that stores hold.
}

// head returns the message as a list shows it.
func (m Message) head() Message {
	m.Metadata, m.Stack, m.Body = nil, "", nil
	return m
}

// Fields returns the names of the fields that poison messages can be filtered and grouped
// by, sorted.
func Fields() []string {
	return []string{"code", "correlation_id", "frame", "handler", "key", "kind", "message_id", "queue", "source", "type"}
}

// Field returns the value of one of the [Fields]; for any other name it is empty.
func (m Message) Field(name string) string {
	switch name {
	case "code":
		return m.Code
	case "correlation_id":
		return m.CorrelationID
	case "frame":
		return m.Frame
	case "handler":
		return m.Handler
	case "key":
		return m.Key
	case "kind":
		return m.Kind
	case "message_id":
		return m.MessageID
	case "queue":
		return m.Queue
	case "source":
		return m.Source
	case "type":
		return m.Type
	}
	return ""
}
