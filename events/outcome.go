package events

import "encoding/json"

// The statuses of an outcome. Until one is stored, the outcome is unknown; sending the
// command again under its id resolves it. Unknown is never stored.
const (
	StatusAccepted = "accepted"
	StatusRejected = "rejected"
	StatusUnknown  = "unknown"
)

// Outcome is how a command ended. It is stored with the events, in the same write, and
// returned whenever the command is sent again under its id. Its JSON is what
// `send --wait -o json` prints and the HTTP API returns.
type Outcome struct {
	Status        string `json:"status"`
	CommandID     string `json:"command_id"`
	CorrelationID string `json:"correlation_id,omitempty"`
	Aggregate     string `json:"aggregate,omitempty"`
	AggregateID   string `json:"aggregate_id,omitempty"`
	Version       uint64 `json:"version,omitempty"`
	// Events are those that an accepted command led to: none or more, never nil.
	Events  []EventRef `json:"events,omitzero"`
	Code    string     `json:"code,omitempty"`
	Message string     `json:"message,omitempty"`
	Field   string     `json:"field,omitempty"`
	// Command is the wire name of the command. It is stored, but not part of the JSON.
	Command string `json:"-"`
	// CommandHash is a hash of the command, by which another one under its id is found out. It
	// is stored, but not part of the JSON. Empty if it is not known.
	CommandHash string `json:"-"`
	// Repeated reports that the command was decided before, and this is the stored outcome.
	Repeated bool `json:"replayed,omitempty"`
}

// SendOptions are optional: the zero value is right for most commands.
type SendOptions struct {
	// ID is the command's id, which belongs to one command on one aggregate: sent again,
	// the command has the stored outcome and no new events. Another command under it, or one
	// with other data, is refused with ID_IN_USE. Text that is not a UUID is
	// hashed into one. Default: a new id; with a handler's context, one derived from the
	// message that is handled, so that a retried handler sends the same command again.
	ID string
	// NewID says that ID was made for this command alone, so that nothing can be stored under
	// it, and need not be looked for.
	NewID bool
	// CorrelationID is the same for everything that one request caused. Default: that of
	// the message that is handled, or else a new one.
	CorrelationID string
	// Traceparent is the W3C trace context that the command belongs to. Default: that of
	// the message that is handled, if any.
	Traceparent string
}

// Receipt identifies a command that was sent, and where its outcome will be stored.
type Receipt struct {
	CommandID     string `json:"command_id"`
	CorrelationID string `json:"correlation_id"`
	Aggregate     string `json:"aggregate"`
	AggregateID   string `json:"aggregate_id"`
	// Command is the wire name of the command. It is not part of the JSON.
	Command string `json:"-"`
	// CommandHash is [Outcome].CommandHash; empty if the id was made for this command. It is
	// not part of the JSON.
	CommandHash string `json:"-"`
}

// EventRef refers to a stored event.
type EventRef struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Version uint64 `json:"version"`
}

// AppendRequest is one write to the log: the events of one decision on one aggregate, and
// the command's outcome. All of it is stored, or nothing.
type AppendRequest struct {
	Aggregate   string
	AggregateID string
	// ExpectedVersion is the version that the decision was made on; 0 for a new aggregate.
	// It is checked only if there are events: a rejection cannot conflict.
	ExpectedVersion uint64
	// Events have the versions ExpectedVersion+1, +2, … There are none after a rejection,
	// or if the command changes nothing.
	Events []Envelope
	// Outcome is stored under its CommandID.
	Outcome Outcome
}

// Validate returns an error with the code INTERNAL for a request that would leave a gap in
// the log, or whose outcome could not be found again. Stores call it.
func (a AppendRequest) Validate() error {
	if a.Outcome.CommandID == "" {
		return Errorf(CodeInternal, "an append to %s %s has no command id; its outcome could not be found again", a.Aggregate, a.AggregateID)
	}
	for i := range a.Events {
		e := &a.Events[i]
		if want := a.ExpectedVersion + uint64(i) + 1; e.Version != want {
			return Errorf(CodeInternal, "event %d of command %s has the version %d; it must be %d", i, a.Outcome.CommandID, e.Version, want)
		}
		if e.Type == "" || e.ID == "" {
			return Errorf(CodeInternal, "event %d of command %s has no type or no id", i, a.Outcome.CommandID)
		}
	}
	return nil
}

// Snapshot is an aggregate's state after an event, stored to shorten loading. It is a
// cache: it may be missing, and is ignored where it cannot be read.
type Snapshot struct {
	Version uint64
	// Schema is the fingerprint of the state's type; see [AggregateType].
	Schema string
	State  json.RawMessage
	// Position is that of the event that made the version, in its partition of the log. A log
	// that has lost its end does not use a snapshot without it.
	Position uint64
}

// History is what is loaded of an aggregate: the newest usable snapshot, or a zero one,
// and all events after it, in order.
type History struct {
	Snapshot Snapshot
	Events   []Recorded
	// Skipped is how many versions follow the last event that must not be used: events that
	// the log has lost may have had them. It is 0 unless the log has lost its end.
	Skipped uint64
}

// Version returns the aggregate's version, which the next event follows; 0 if the aggregate
// does not exist, and has never existed as far as the log can tell.
func (h History) Version() uint64 {
	version := h.Snapshot.Version
	if n := len(h.Events); n > 0 {
		version = h.Events[n-1].Version
	}
	return version + h.Skipped
}

// Row is a row of a projection.
type Row struct {
	Key  string
	Data json.RawMessage
}

// ProjectionCommit is one transaction of a projection: changed rows, and how far the log
// has been read.
type ProjectionCommit struct {
	Projection string
	// Token is that of the instance that has opened the projection, Epoch that of the log
	// that it reads; see [CheckpointCommit].
	Token, Epoch string
	// From is the cursor that the changes start from. If the stored one differs, another
	// instance has applied these events, and nothing is written.
	From Cursor
	// To is the cursor afterwards.
	To Cursor
	// Rebuild, if it is not empty, is recorded as [ProjectionState].Rebuild.
	Rebuild string
	// Put are rows as they are now, Delete the keys of rows to delete.
	Put    []Row
	Delete []string
}
