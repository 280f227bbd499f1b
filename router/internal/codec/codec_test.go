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
