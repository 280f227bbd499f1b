package poison

import (
	"maps"
	"slices"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// Message is a poison message: a message that a handler failed to process, kept whole,
// with everything one needs to understand it. There is one for a handler and a message,
// however often that fails. In JSON, times and what may be long come last.
type Message struct {
	// ID is the same for every failure of the message; see [ID].
	ID string `json:"id"`
	// Handler failed to process the message, Kind is its kind ("command", "reaction" or
	// "projection"), and Queue is the queue that it consumes.
	Handler string `json:"handler"`
	Kind    string `json:"kind"`
	Queue   string `json:"queue"`
	// Topic is what the queue is bound to. Empty for a projection, which reads the log.
	Topic string `json:"topic,omitempty"`
	// Type is the message's wire name, Key the id of its aggregate; both may be empty, as
	// any producer may have published it.
	Type string `json:"type"`
	Key  string `json:"key"`
	// MessageID is the message's id, as its handler sees it.
	MessageID     string `json:"message_id"`
	CorrelationID string `json:"correlation_id"`
	// Code and Reason are the error's code and text, at most about 2 KiB. Frame is where
	// the handler panicked, and Stack the stack then, at most about 4 KiB; empty if it did
	// not panic.
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Frame  string `json:"frame,omitempty"`
	// Source says what sent the message to the poison queue: [FromRouter] or [FromBroker].
	Source string `json:"source"`
	// Attempts is how often the handler was called before the last failure; 0 if unknown.
	Attempts int `json:"attempts"`
	// Failures is how often the message was sent to the poison queue: once, and once more
	// for each retry that failed.
	Failures int `json:"failures"`
	// FirstFailedAt is when the first attempt of all failed, LastFailedAt when the message
	// was last sent to the poison queue. Both are UTC, to the millisecond.
	FirstFailedAt time.Time `json:"-"`
	LastFailedAt  time.Time `json:"-"`
	// Size is the body's length in bytes.
	Size  int    `json:"-"`
	Stack string `json:"-"`
	// Metadata are the message's headers, as they came, and Body the body, byte for byte.
	// A list leaves out Metadata, Stack and Body.
	Metadata map[string]string `json:"-"`
	Body     []byte            `json:"-"`
	// Revision changes with every change of the message in its store. It is not part of
	// the JSON.
	Revision int64 `json:"-"`
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

// LogKey is the attribute of log lines that has the id of a poison message.
const LogKey = "poison_id"

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
func Fields() []string { return slices.Sorted(maps.Keys(Message{}.values())) }

// Field returns the value of one of the [Fields]; for any other name it is empty.
func (m Message) Field(name string) string { return m.values()[name] }

func (m Message) values() map[string]string {
	return map[string]string{
		"code": m.Code, "correlation_id": m.CorrelationID, "frame": m.Frame, "handler": m.Handler, "key": m.Key,
		"kind": m.Kind, "message_id": m.MessageID, "queue": m.Queue, "source": m.Source, "type": m.Type,
	}
}
