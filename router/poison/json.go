package poison

import (
	"time"
	"unicode/utf8"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// messageJSON is a message as it is exported. A body that is not UTF-8 is in Base64.
type messageJSON struct {
	fields
	FirstFailedAt string            `json:"first_failed_at"`
	LastFailedAt  string            `json:"last_failed_at"`
	Size          int               `json:"size"`
	Stack         string            `json:"stack,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
	Body          string            `json:"body,omitempty"`
	BodyBase64    []byte            `json:"body_base64,omitempty"`
}

type fields Message // without its methods

// MarshalJSON writes the message with names in snake_case. The body is a string; one
// that is not UTF-8 is in body_base64 instead.
func (m Message) MarshalJSON() ([]byte, error) {
	j := messageJSON{
		fields: fields(m), FirstFailedAt: timeText(m.FirstFailedAt), LastFailedAt: timeText(m.LastFailedAt),
		Size: m.Size, Stack: m.Stack, Metadata: m.Metadata,
	}
	if utf8.Valid(m.Body) {
		j.Body = string(m.Body)
	} else {
		j.BodyBase64 = m.Body
	}
	return json.MarshalReadable(j)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Message) UnmarshalJSON(text []byte) (err error) {
	var j messageJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	*m = Message(j.fields)
	m.Size, m.Stack, m.Metadata = j.Size, j.Stack, j.Metadata
	if m.Body = j.BodyBase64; m.Body == nil {
		m.Body = []byte(j.Body)
	}
	if m.FirstFailedAt, err = parseTime("first_failed_at", j.FirstFailedAt); err == nil {
		m.LastFailedAt, err = parseTime("last_failed_at", j.LastFailedAt)
	}
	return err
}

func timeText(t time.Time) string { return t.UTC().Format(events.TimeLayout) }

func parseTime(field, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, events.Errorf(events.CodeInvalid, "%s is not an RFC 3339 time: %.40q", field, text)
	}
	if t.Unix() < 0 { // Stores sort by the milliseconds since then.
		return t, events.Errorf(events.CodeInvalid, "%s is %s; it must not be before 1970", field, text)
	}
	return t.UTC().Truncate(time.Millisecond), nil
}
