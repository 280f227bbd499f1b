package streams

import (
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// Pack returns a whole message as one value, for what keeps messages elsewhere than in a
// stream: the fields of its entry, type, meta and body, as netstrings.
func Pack(msg *message.Message) []byte {
	out := make([]byte, 0, 80+40*len(msg.Metadata)+len(msg.Payload))
	out = appendNetstring(out, msg.Metadata[events.MetaType])
	out = appendNetstring(out, string(encodeMeta(msg)))
	return appendNetstring(out, string(msg.Payload))
}

// Unpack reads what [Pack] returned. Anything else is an error with the code UNDECODABLE.
func Unpack(packed string) (*message.Message, error) {
	var parts [3]string
	for i := range parts {
		var ok bool
		if parts[i], packed, ok = cutNetstring(packed); !ok {
			return nil, events.Errorf(events.CodeUndecodable, "a packed message is not a sequence of netstrings")
		}
	}
	fields := []any{fieldMeta, parts[1], fieldBody, parts[2]}
	if parts[0] != "" {
		fields = append(fields, fieldType, parts[0])
	}
	return decodeMessage(fields)
}
