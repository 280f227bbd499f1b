package streams_test

import (
	"testing"

	"github.com/pitwheel/pitwheel/infra/redis/streams"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// Whatever is a message comes back as it was.
func FuzzMarshaller(f *testing.F) {
	f.Add("id", "USER_CREATED", "aggregate_id", "42", []byte(`{"id":"x"}`))
	f.Add("", "", "", "", []byte{})
	f.Add("1:2", "a:b", "3:abc", "\xff\x00", []byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, id, kind, name, value string, body []byte) {
		sent := message.NewMessage(id, body)
		sent.Metadata.Set(name, value)
		if kind != "" {
			sent.Metadata.Set(events.MetaType, kind)
		}
		fields, err := streams.Marshaller{}.Marshal("topic", sent)
		if err != nil {
			t.Fatal(err)
		}
		got, err := streams.Marshaller{}.Unmarshal(fields)
		if err != nil {
			t.Fatalf("%q is not read: %v", fields, err)
		}
		if !got.Equals(sent) {
			t.Errorf("got %q %q %q, want %q %q %q", got.UUID, got.Metadata, got.Payload, sent.UUID, sent.Metadata, sent.Payload)
		}
	})
}

// Whatever somebody puts into a stream is a message or an error with a code.
func FuzzForeignEntry(f *testing.F) {
	f.Add("meta", "2:id1:a1:b", "body", "{}")
	f.Add("meta", "99999999999999999999:x", "body", "{}")
	f.Add("_watermill_message_uuid", "x", "metadata", "\x81\xa1a\xa1b")
	f.Add("_watermill_message_uuid", "x", "metadata", "\xdf\xff\xff\xff\xff")
	f.Add("_watermill_message_uuid", "x", "metadata", "\xc0") // nil
	f.Add("type", "A", "id", "7")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		msg, err := streams.Marshaller{}.Unmarshal(map[string]any{name1: value1, name2: value2})
		switch {
		case err != nil && events.CodeOf(err) != events.CodeUndecodable:
			t.Errorf("the error has the code %s: %v", events.CodeOf(err), err)
		case err == nil && msg.Metadata == nil:
			t.Error("a message without metadata cannot be handled")
		}
	})
}
