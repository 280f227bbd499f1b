package streams

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
)

// Names of an entry's fields. Any other field of an entry is metadata: a foreign
// producer may just add type, body and whatever it likes.
const (
	fieldType = "type" // the metadata of that name, by which queues are bound
	fieldMeta = "meta" // the message's id and all other metadata
	fieldBody = "body"
	fieldID   = "id" // where a foreign producer may put the id
)

var _ redisstream.MarshallerUnmarshaller = Marshaller{}

// Marshaller turns messages into entries of a stream and back. It also
// understands what watermill-redisstream's DefaultMarshallerUnmarshaller writes,
// and entries of foreign producers, whose fields other than id and body are
// metadata.
//
// Id and metadata are one field of netstrings, first the id, then names and
// values in turn: "4:18ab7:user-id2:42" is the message 18ab with user-id = 42. One
// field is read several times as fast as ten, and people can still read it.
type Marshaller struct{}

// Marshal returns the fields of a message's entry.
func (Marshaller) Marshal(_ string, msg *message.Message) (map[string]any, error) {
	out := map[string]any{fieldMeta: string(encodeMeta(msg)), fieldBody: []byte(msg.Payload)}
	if kind := msg.Metadata[events.MetaType]; kind != "" {
		out[fieldType] = kind
	}
	return out, nil
}

// Unmarshal reads the fields of an entry. An entry that is not a message of any known
// form is an error with the code UNDECODABLE.
func (Marshaller) Unmarshal(values map[string]any) (*message.Message, error) {
	fields := make([]any, 0, 2*len(values))
	for name, value := range values {
		fields = append(fields, name, value)
	}
	return decodeMessage(fields)
}

// appendMessage adds the fields of a message's entry to a command.
func appendMessage(args []any, msg *message.Message) []any {
	if kind := msg.Metadata[events.MetaType]; kind != "" {
		args = append(args, fieldType, kind)
	}
	return append(args, fieldMeta, encodeMeta(msg), fieldBody, []byte(msg.Payload))
}

// encodeMeta writes the id and all metadata but the type.
func encodeMeta(msg *message.Message) []byte {
	out := make([]byte, 0, 40+40*len(msg.Metadata))
	out = appendNetstring(out, msg.UUID)
	for name, value := range msg.Metadata {
		if name != events.MetaType {
			out = appendNetstring(out, name)
			out = appendNetstring(out, value)
		}
	}
	return out
}

func appendNetstring(out []byte, s string) []byte {
	out = strconv.AppendInt(out, int64(len(s)), 10)
	out = append(out, ':')
	return append(out, s...)
}

// cutNetstring reads the netstring at the beginning of s.
func cutNetstring(s string) (value, rest string, ok bool) {
	n := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9' && n < 1<<28:
			n = 10*n + int(c-'0')
		case c == ':' && i > 0 && n <= len(s)-i-1:
			return s[i+1 : i+1+n], s[i+1+n:], true
		default:
			return "", "", false
		}
	}
	return "", "", false
}

// decodeMessage reads a flat list of names and values.
func decodeMessage(fields []any) (*message.Message, error) {
	if _, ok := conn.FieldText(fields, redisstream.UUIDHeaderKey); ok {
		return decodeDefault(fields)
	}
	body, ok := conn.FieldText(fields, fieldBody)
	if !ok {
		return nil, events.Errorf(events.CodeUndecodable, "the entry has no field %q", fieldBody)
	}
	msg := message.NewMessage("", []byte(body))
	meta := make(message.Metadata, 8) // What our events have; a map of up to 8 is a single group.
	for i := 0; i+1 < len(fields); i += 2 {
		switch name, value := conn.Text(fields[i]), conn.Text(fields[i+1]); name {
		case fieldBody:
		case fieldID:
			msg.UUID = value
		case fieldMeta:
			var ok bool
			if msg.UUID, ok = decodeMeta(value, meta); !ok {
				return nil, events.Errorf(events.CodeUndecodable, "the field %q of the entry is not a sequence of netstrings", fieldMeta)
			}
		default:
			meta[name] = value
		}
	}
	msg.Metadata = meta
	return msg, nil
}

func decodeMeta(s string, into message.Metadata) (id string, ok bool) {
	id, s, ok = cutNetstring(s)
	for ok && s != "" {
		var name, value string
		if name, s, ok = cutNetstring(s); ok {
			value, s, ok = cutNetstring(s)
			into[name] = value
		}
	}
	return id, ok
}

// decodeDefault reads what watermill-redisstream writes by default.
func decodeDefault(fields []any) (*message.Message, error) {
	values := make(map[string]any, len(fields)/2)
	for i := 0; i+1 < len(fields); i += 2 {
		values[conn.Text(fields[i])] = conn.Text(fields[i+1])
	}
	msg, err := redisstream.DefaultMarshallerUnmarshaller{}.Unmarshal(values)
	if err != nil {
		return nil, events.Errorf(events.CodeUndecodable, "the entry of watermill-redisstream cannot be read: %w", err)
	}
	if msg.Metadata == nil { // It was written as nil, and nothing could be added to it.
		msg.Metadata = message.Metadata{}
	}
	return msg, nil
}

// entryType returns the type of an entry's message, or "" if it is unknown.
func entryType(fields []any) string {
	if kind, ok := conn.FieldText(fields, fieldType); ok {
		return kind
	}
	if msg, err := decodeMessage(fields); err == nil {
		if kind := msg.Metadata.Get(events.MetaType); kind != "" {
			return kind
		}
		var body struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(msg.Payload, &body) == nil {
			return body.Type
		}
	}
	return ""
}

// wanted reports whether a queue bound to types (none: everything) receives an entry. An
// entry of unknown type is received, so that it is not lost unnoticed.
func wanted(types []string, fields []any) bool {
	if len(types) == 0 {
		return true
	}
	kind := entryType(fields)
	return kind == "" || slices.Contains(types, kind)
}
