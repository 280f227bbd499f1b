package poison

import (
	"time"

	"github.com/pitwheel/pitwheel/events/json"
)

// Change is one change of a poison message, as the audit trail keeps it.
type Change struct {
	// At is set by the store.
	At time.Time `json:"-"`
	// Action is what was done: [Retried], [Discarded], [Edited], [Imported] or [Renamed].
	Action string `json:"action"`
	// Who did it, and Why, as far as they said.
	Who string `json:"who"`
	Why string `json:"why"`
	// PoisonID is the poison message's id, and the others are fields of it.
	PoisonID  string `json:"poison_id"`
	Handler   string `json:"handler"`
	Type      string `json:"type"`
	Key       string `json:"key"`
	MessageID string `json:"message_id"`
	Code      string `json:"code"`
}

// The actions of a [Change].
const (
	Retried   = "retried"
	Discarded = "discarded"
	Edited    = "edited"
	Imported  = "imported"
	Renamed   = "renamed" // its handler was
)

// MarshalJSON writes the change with names in snake_case.
func (c Change) MarshalJSON() ([]byte, error) {
	type fields Change // without this method
	return json.MarshalReadable(struct {
		At string `json:"at"`
		fields
	}{timeText(c.At), fields(c)})
}

// Of returns the change with the fields of the message that it is about.
func (c Change) Of(m Message) Change {
	c.PoisonID, c.Handler, c.Type, c.Key, c.MessageID, c.Code = m.ID, m.Handler, m.Type, m.Key, m.MessageID, m.Code
	return c
}

// Removal is the result of removing one poison message.
type Removal int

// The results of a removal.
const (
	Removed Removal = iota
	Changed         // the message has failed again or was edited since it was read, so it stays
	Gone            // it was removed before
)
