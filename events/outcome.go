package events

import "encoding/json"

// The two ways a command can end. Until one of them is stored it is unknown,
// and sending the command again under its id settles it.
const (
	StatusAccepted = "accepted"
	StatusRejected = "rejected"
)

// Outcome is how a command ended. It is stored beside the events, in the same
// write, and returned again to whoever sends the same command id again. Its
// JSON is what `send --wait -o json` prints and the HTTP API answers.
type Outcome struct {
	Status        string `json:"status"`
	CommandID     string `json:"command_id"`
	CorrelationID string `json:"correlation_id,omitempty"`
	Aggregate     string `json:"aggregate,omitempty"`
	AggregateID   string `json:"aggregate_id,omitempty"`
	Version       uint64 `json:"version,omitempty"`
	// Events of an accepted command are none or more, and never nil.
	Events  []EventRef `json:"events,omitzero"`
	Code    string     `json:"code,omitempty"`
	Message string     `json:"message,omitempty"`
	Field   string     `json:"field,omitempty"`
	// Command is the wire name of the command. It is stored, and no part of the JSON.
	Command string `json:"-"`
	// Repeated says that the command was decided before, and this is what came of it.
	Repeated bool `json:"-"`
}

// SendOptions say how a command is sent. The zero value is right for most.
type SendOptions struct {
	// ID is the command's id: it belongs to one command on one aggregate. Sent again,
	// that has the stored outcome and no new event. Empty: a new one; or, within a handler, one derived from the message
	// in hand, so that a retried handler sends the same command again.
	ID string
	// CorrelationID joins the command to what set it off. Empty: that of the
	// message in hand, else a new one.
	CorrelationID string
	// Traceparent is the W3C trace context that the command belongs to. Empty: that of
	// the message in hand.
	Traceparent string
}

// Receipt says where a sent command has gone. Its outcome is stored there.
type Receipt struct {
	CommandID     string `json:"command_id"`
	CorrelationID string `json:"correlation_id"`
	Aggregate     string `json:"aggregate"`
	AggregateID   string `json:"aggregate_id"`
	// Command is the wire name of the command. It is no part of the JSON.
	Command string `json:"-"`
}

// EventRef names one stored event.
type EventRef struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Version uint64 `json:"version"`
}

// AppendRequest is one write to the log: the events of one decision on one aggregate,
// and the command's outcome. All of it is stored, or nothing.
type AppendRequest struct {
	Aggregate   string
	AggregateID string
	// ExpectedVersion is the version the decision was made on; 0 for a new aggregate.
	// It is checked only if there are events: a rejection conflicts with nobody.
	ExpectedVersion uint64
	// Events carry the versions ExpectedVersion+1, +2, … It may be empty: a
	// rejection, or a command that had nothing left to do.
	Events []Envelope
	// Outcome is stored under its CommandID.
	Outcome Outcome
}

// Snapshot is an aggregate's state at a version, kept to shorten loading. It is
// a cache: it may be missing, and whoever cannot read it ignores it.
type Snapshot struct {
	Version uint64
	// Schema names the state's shape; a snapshot of another shape is not used.
	Schema string
	State  json.RawMessage
}

// History is what loading an aggregate returns: the newest usable snapshot, or
// a zero one, and all events after it, in order.
type History struct {
	Snapshot Snapshot
	Events   []Recorded
}

// Version is the aggregate's version; 0 if it does not exist.
func (h History) Version() uint64 {
	if n := len(h.Events); n > 0 {
		return h.Events[n-1].Version
	}
	return h.Snapshot.Version
}

// Row is one row of a projection.
type Row struct {
	Key  string
	Data json.RawMessage
}

// ProjectionCommit is one step of a projection: changed rows and how far the log has
// been read, in one transaction.
type ProjectionCommit struct {
	Projection string
	// From is the cursor the step started from. If the stored one differs, someone
	// else has applied these events, and nothing is written.
	From Cursor
	// To is the cursor after the step.
	To Cursor
	// Put are the rows as they are now, Delete the keys of rows that are gone.
	Put    []Row
	Delete []string
}
