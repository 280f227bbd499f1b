package poison

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/pitwheel/pitwheel/events"
)

// Message is a poison letter: a message that a handler could not handle, kept
// whole, with everything one needs to understand it. There is one letter for a
// handler and a message, however often that fails.
type Message struct {
	// ID is the same for every failure of the message; see [ID].
	ID string
	// Handler could not handle the message, Kind is its kind ("command",
	// "reaction" or "projection"), and Queue is where its messages wait.
	Handler, Kind, Queue string
	// Topic is what the queue is bound to. Empty for a projection, which reads the log.
	Topic string
	// Type is the message's wire name, Key the id of its aggregate; both may be
	// empty, as a letter may be no message of ours at all.
	Type, Key string
	// MessageID is the message's id, as its handler sees it.
	MessageID     string
	CorrelationID string
	// Code and Reason are the error's code and text, at most about 2 KiB. Frame is
	// where the handler panicked, and Stack how it came there, at most about 4 KiB;
	// empty if it did not panic.
	Code, Reason, Frame, Stack string
	// Source says who gave the message up: [FromRouter] or [FromBroker].
	Source string
	// Attempts is how often the handler was called before the message was given up
	// last; 0 if nobody knows.
	Attempts int
	// Failures is how often the message was given up: once, and once more for each
	// retry that failed.
	Failures int
	// FirstFailedAt is when the first attempt of all failed, LastFailedAt when the
	// message was given up last. Both are UTC, to the millisecond.
	FirstFailedAt, LastFailedAt time.Time
	// Size is the body's length in bytes.
	Size int
	// Metadata is what travelled beside the body, as it came, and Body the body,
	// byte for byte. A list of letters leaves out Metadata, Stack and Body.
	Metadata map[string]string
	Body     []byte
	// Revision changes with every change of the letter in its store. It is no part
	// of the JSON.
	Revision int64
}

// Who gave a message up.
const (
	FromRouter = "router" // the handler failed
	FromBroker = "broker" // the broker: too many deliveries, or expired
)

// Names of what a retried letter carries, so that a failure after it is known to
// be one more of the same letter.
const (
	// MetaRetried is how often the message was given up before it was retried.
	MetaRetried = "pitwheel_retried"
	// MetaFailingSince is when its first attempt of all failed.
	MetaFailingSince = "pitwheel_failing_since"
)

// ID is the id of the letter for a message that a handler cannot handle.
func ID(handler, messageID string) string { return events.DeriveID("letter", handler, messageID) }

// Fields are the names of the fields that letters can be searched and
// grouped by, sorted.
func Fields() []string {
	return []string{"code", "correlation_id", "frame", "handler", "key", "kind", "message_id", "queue", "source", "type"}
}

// Field returns one of the [Fields]; for any other name it is empty.
func (l Message) Field(name string) string {
	switch name {
	case "code":
		return l.Code
	case "correlation_id":
		return l.CorrelationID
	case "frame":
		return l.Frame
	case "handler":
		return l.Handler
	case "key":
		return l.Key
	case "kind":
		return l.Kind
	case "message_id":
		return l.MessageID
	case "queue":
		return l.Queue
	case "source":
		return l.Source
	case "type":
		return l.Type
	}
	return ""
}

// Filter picks letters. Its zero value picks all.
type Filter struct {
	// Fields hold for each of some [Fields] the values of which a letter must
	// have one.
	Fields map[string][]string
	// After and Before bound the time of the last failure: a letter is picked if it
	// failed last at After or later, and earlier than Before. Zero: no bound.
	After, Before time.Time
}

// Match tells whether a letter is picked.
func (f Filter) Match(l Message) bool {
	for name, values := range f.Fields {
		if !slices.Contains(values, l.Field(name)) {
			return false
		}
	}
	return (f.After.IsZero() || !l.LastFailedAt.Before(f.After)) && (f.Before.IsZero() || l.LastFailedAt.Before(f.Before))
}

// letterJSON is a letter on the outside. A body that is no text is in Base64.
type letterJSON struct {
	ID            string            `json:"id"`
	Handler       string            `json:"handler"`
	Kind          string            `json:"kind"`
	Queue         string            `json:"queue"`
	Topic         string            `json:"topic,omitempty"`
	Type          string            `json:"type"`
	Key           string            `json:"key"`
	MessageID     string            `json:"message_id"`
	CorrelationID string            `json:"correlation_id"`
	Code          string            `json:"code"`
	Reason        string            `json:"reason"`
	Frame         string            `json:"frame,omitempty"`
	Source        string            `json:"source"`
	Attempts      int               `json:"attempts"`
	Failures      int               `json:"failures"`
	FirstFailedAt string            `json:"first_failed_at"`
	LastFailedAt  string            `json:"last_failed_at"`
	Size          int               `json:"size"`
	Stack         string            `json:"stack,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
	Body          string            `json:"body,omitempty"`
	BodyBase64    []byte            `json:"body_base64,omitempty"`
}

// MarshalJSON writes the letter with names in snake_case. The body is a string;
// one that is not UTF-8 is in body_base64 instead.
func (l Message) MarshalJSON() ([]byte, error) {
	j := letterJSON{
		ID: l.ID, Handler: l.Handler, Kind: l.Kind, Queue: l.Queue, Topic: l.Topic, Type: l.Type, Key: l.Key, MessageID: l.MessageID,
		CorrelationID: l.CorrelationID, Code: l.Code, Reason: l.Reason, Frame: l.Frame, Source: l.Source, Attempts: l.Attempts, Failures: l.Failures,
		FirstFailedAt: l.FirstFailedAt.UTC().Format(events.TimeLayout), LastFailedAt: l.LastFailedAt.UTC().Format(events.TimeLayout),
		Size: l.Size, Stack: l.Stack, Metadata: l.Metadata,
	}
	if utf8.Valid(l.Body) {
		j.Body = string(l.Body)
	} else {
		j.BodyBase64 = l.Body
	}
	// The text is for people and tools, not for HTML.
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(j)
	return bytes.TrimRight(out.Bytes(), "\n"), err
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Message) UnmarshalJSON(text []byte) error {
	var j letterJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	first, err := time.Parse(time.RFC3339Nano, j.FirstFailedAt)
	if err != nil {
		return events.Errorf(events.CodeInvalid, "first_failed_at is no RFC 3339 time: %.40q", j.FirstFailedAt)
	}
	last, err := time.Parse(time.RFC3339Nano, j.LastFailedAt)
	if err != nil {
		return events.Errorf(events.CodeInvalid, "last_failed_at is no RFC 3339 time: %.40q", j.LastFailedAt)
	}
	*l = Message{
		ID: j.ID, Handler: j.Handler, Kind: j.Kind, Queue: j.Queue, Topic: j.Topic, Type: j.Type, Key: j.Key, MessageID: j.MessageID,
		CorrelationID: j.CorrelationID, Code: j.Code, Reason: j.Reason, Frame: j.Frame, Source: j.Source, Attempts: j.Attempts, Failures: j.Failures,
		FirstFailedAt: first.UTC().Truncate(time.Millisecond), LastFailedAt: last.UTC().Truncate(time.Millisecond),
		Size: j.Size, Stack: j.Stack, Metadata: j.Metadata, Body: j.BodyBase64,
	}
	if j.BodyBase64 == nil {
		l.Body = []byte(j.Body)
	}
	return nil
}

// Change is one change of a letter, as the audit trail keeps it.
type Change struct {
	// At is set by the store.
	At time.Time
	// Action is what was done: one of the Message… actions below.
	Action string
	// Who did it, and Why, as far as they said.
	Who, Why string
	// LetterID, Handler, Type, Key, MessageID and Code are those of the letter.
	LetterID, Handler, Type, Key, MessageID, Code string
}

// What can be done to a letter.
const (
	Retried   = "retried"
	Discarded = "discarded"
	Edited    = "edited"
	Imported  = "imported"
)
