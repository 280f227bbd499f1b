package codec

import (
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// EncodeRecorded returns the message of an event of the log with the given epoch: that of
// [Encode], with the event's place in the log in its metadata.
func EncodeRecorded(r *events.Recorded, epoch string) *message.Message {
	msg := Encode(&r.Envelope)
	msg.Metadata[events.MetaLogPartition] = strconv.Itoa(r.Partition)
	msg.Metadata[events.MetaLogPosition] = strconv.FormatUint(r.Position, 10)
	msg.Metadata[events.MetaLogEpoch] = epoch
	return msg
}

// RecordedMarshaler is the marshaler of an event bus that carries the events of a log. The
// values that it writes are of the type *events.Recorded.
type RecordedMarshaler struct {
	Marshaler
	// Epoch is that of the log.
	Epoch string
}

// Marshal returns the message of an event.
func (m RecordedMarshaler) Marshal(v any) (*message.Message, error) {
	if r, ok := v.(*events.Recorded); ok {
		return EncodeRecorded(r, m.Epoch), nil
	}
	return nil, events.Errorf(events.CodeInternal, "the bus of the log carries *events.Recorded, not %T", v)
}

// Name returns the wire name of an event's type.
func (RecordedMarshaler) Name(v any) string {
	if r, ok := v.(*events.Recorded); ok {
		return r.Type
	}
	return ""
}
