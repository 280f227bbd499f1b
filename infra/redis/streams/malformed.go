package streams

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// MetaMalformed is the metadata that says why an entry of a stream is not a message. The
// payload is then a JSON object with the entry's fields.
const MetaMalformed = "malformed"

// rawEntry is an entry as it stands in its stream: its fields in their order, with
// names that may come twice.
type rawEntry struct {
	Entry  string     `json:"entry"`
	Fields []rawField `json:"fields"`
}

// rawField is a name and its value, each as text or, where it is not UTF-8, as bytes,
// which JSON encodes in base64.
type rawField struct {
	Name       string `json:"name,omitempty"`
	NameBytes  []byte `json:"name_base64,omitempty"`
	Value      string `json:"value,omitempty"`
	ValueBytes []byte `json:"value_base64,omitempty"`
}

// malformed makes a message of an entry that is not one, so that it reaches the poison
// queue whole, like all messages that cannot be handled. It has the same id whenever it
// is read.
func malformed(stream, entryID string, fields []any, why error) *message.Message {
	raw := rawEntry{Entry: entryID}
	for i := 0; i+1 < len(fields); i += 2 {
		var f rawField
		f.Name, f.NameBytes = textOrBytes(conn.Text(fields[i]))
		f.Value, f.ValueBytes = textOrBytes(conn.Text(fields[i+1]))
		raw.Fields = append(raw.Fields, f)
	}
	body, _ := json.Marshal(raw) // Strings and bytes always marshal.
	msg := message.NewMessage(events.DeriveID("stream", stream, entryID), body)
	msg.Metadata.Set(MetaMalformed, why.Error())
	if kind, ok := conn.FieldText(fields, fieldType); ok {
		msg.Metadata.Set(events.MetaType, kind)
	}
	return msg
}

func textOrBytes(s string) (string, []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}
