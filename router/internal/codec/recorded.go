package codec

import (
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// EncodeRecorded returns the message of an event of the log.
func EncodeRecorded(r *events.Recorded, epoch string) *message.Message {
	msg := Encode(&r.Envelope)
	msg.Metadata[events.MetaLogPartition] = strconv.Itoa(r.Partition)
	msg.Metadata[events.MetaLogPosition] = strconv.FormatUint(r.Position, 10)
	msg.Metadata[events.MetaLogEpoch] = epoch
	return msg
}
