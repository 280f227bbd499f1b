package poison

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/pitwheel/pitwheel/events"
)

// messageJSON is a message as it is exported. A body that is not UTF-8 is in Base64.
type messageJSON struct {
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

// MarshalJSON writes the message with names in snake_case. The body is a string; one
// that is not UTF-8 is in body_base64 instead.
func (m Message) MarshalJSON() ([]byte, error) {
	j := messageJSON{
		ID: m.ID, Handler: m.Handler, Kind: m.Kind, Queue: m.Queue, Topic: m.Topic, Type: m.Type, Key: m.Key, MessageID: m.MessageID,
		CorrelationID: m.CorrelationID, Code: m.Code, Reason: m.Reason, Frame: m.Frame, Source: m.Source, Attempts: m.Attempts, Failures: m.Failures,
		FirstFailedAt: timeText(m.FirstFailedAt), LastFailedAt: timeText(m.LastFailedAt), Size: m.Size, Stack: m.Stack, Metadata: m.Metadata,
	}
	if utf8.Valid(m.Body) {
		j.Body = string(m.Body)
	} else {
		j.BodyBase64 = m.Body
	}
	return marshal(j)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Message) UnmarshalJSON(text []byte) error {
	var j messageJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	first, err := parseTime("first_failed_at", j.FirstFailedAt)
	if err != nil {
		return err
	}
	last, err := parseTime("last_failed_at", j.LastFailedAt)
	if err != nil {
		return err
	}
	*m = Message{
		ID: j.ID, Handler: j.Handler, Kind: j.Kind, Queue: j.Queue, Topic: j.Topic, Type: j.Type, Key: j.Key, MessageID: j.MessageID,
		CorrelationID: j.CorrelationID, Code: j.Code, Reason: j.Reason, Frame: j.Frame, Source: j.Source, Attempts: j.Attempts, Failures: j.Failures,
		FirstFailedAt: first, LastFailedAt: last, Size: j.Size, Stack: j.Stack, Metadata: j.Metadata, Body: j.BodyBase64,
	}
	if j.BodyBase64 == nil {
		m.Body = []byte(j.Body)
	}
	return nil
}

func timeText(t time.Time) string { return t.UTC().Format(events.TimeLayout) }

func parseTime(field, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, events.Errorf(events.CodeInvalid, "%s is not an RFC 3339 time: %.40q", field, text)
	}
	return t.UTC().Truncate(time.Millisecond), nil
}

// marshal writes JSON for people and tools, not for HTML: <, > and & stay as they are.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(out.Bytes(), "\n"), err
}
