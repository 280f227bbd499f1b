package codec

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// The headers of a foreign message may hold anything; a version that makes no sense is
// treated as missing.
func TestHeader_Versions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint64{"": 0, "3": 3, "-1": 0, "0": 0, "2.0": 0, "99999999999999999999": 0, "2147483648": 0, "x": 0, "+1": 0} {
		msg := message.NewMessage("", nil)
		msg.Metadata = message.Metadata{events.MetaVersion: text, events.MetaSchemaVersion: text}
		var h events.Header
		Header(msg, &h)
		if h.Version != want || h.SchemaVersion != int(want) { //nolint:gosec // They are small.
			t.Errorf("%q is read as the version %d of schema %d, want %d", text, h.Version, h.SchemaVersion, want)
		}
	}
}

// A message without an id is the same one at every delivery if the transport knows it.
func TestReceiver_MessageWithoutID(t *testing.T) {
	t.Parallel()
	receive := func(r Receiver, entry string) (id string) {
		msg := message.NewMessage("", []byte(`{"type":"T","data":{}}`))
		if entry != "" {
			msg.Metadata[events.MetaEntry] = entry
		}
		var e events.Envelope
		if err := r.Receive(msg, &e); err != nil {
			t.Fatal(err)
		}
		if msg.UUID != e.ID || e.CorrelationID != e.ID || !events.IsID(e.ID) || len(msg.Metadata) > 0 {
			t.Errorf("the message %q with %v is read as %+v", msg.UUID, msg.Metadata, e.Header)
		}
		return e.ID
	}
	any, byContent := Receiver{MaxBytes: 100}, Receiver{MaxBytes: 100, ContentID: true}
	if first, second := receive(any, ""), receive(any, ""); first == second || receive(any, "s 1-0") == receive(any, "s 2-0") {
		t.Error("two messages have one id")
	}
	if first, again := receive(any, "s 1-0"), receive(any, "s 1-0"); first != again || receive(byContent, "s 1-0") != receive(byContent, "s 2-0") {
		t.Error("one message has two ids")
	}
}
