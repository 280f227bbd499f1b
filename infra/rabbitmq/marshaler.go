package rabbitmq

import (
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// maxShort is how many bytes AMQP allows for a property, a header's name or a
	// routing key.
	maxShort = 255
	// maxHeaders bounds all metadata of a message, in bytes. AMQP puts properties
	// into one frame, which RabbitMQ limits to 128 KiB; more would end the connection.
	maxHeaders = 100_000
)

// MetaRedelivered is the metadata key of a message that the broker has delivered
// before; its value is "true". How often a quorum queue has is in "x-delivery-count".
const MetaRedelivered = "x-redelivered"

// Marshaler writes messages as other services expect them, and reads what any
// producer may send. It is Watermill's seam for the AMQP transport.
//
// Outbound, the UUID becomes message_id; the metadata type, timestamp,
// correlation_id and app_id become properties of the same name; all other
// metadata becomes string headers, except what a broker has put there itself.
//
// Inbound, every property that a message has fills in its metadata, and every
// header does as text: numbers in decimal, tables and arrays as JSON, times in
// RFC 3339, nothing at all as "". A message without a type gets its routing key.
// Reading never fails.
type Marshaler struct {
	// AppID is the app_id of messages that bring none.
	AppID string
}

var _ amqp.Marshaler = Marshaler{}

// Marshal fails with the code INVALID for what AMQP cannot carry: an id or a type
// of more than 255 bytes, a metadata key of more than 255, or more than 100,000
// bytes of metadata in all.
func (m Marshaler) Marshal(msg *message.Message) (amqp091.Publishing, error) {
	p := amqp091.Publishing{
		MessageId:    msg.UUID,
		ContentType:  "application/json",
		DeliveryMode: amqp091.Persistent,
		AppId:        m.AppID,
		Body:         msg.Payload,
		Headers:      make(amqp091.Table, len(msg.Metadata)),
	}
	if len(msg.UUID) > maxShort {
		return p, tooLong("message id", msg.UUID)
	}
	size := 0
	for key, value := range msg.Metadata {
		size += len(key) + len(value)
		switch key {
		case events.MetaType:
			if len(value) > maxShort {
				return p, tooLong("message type", value)
			}
			p.Type = value
			continue
		case events.MetaTimestamp:
			if t, err := time.Parse(time.RFC3339Nano, value); err == nil && t.Unix() > 0 {
				p.Timestamp = t
				continue
			}
		case events.MetaCorrelationID:
			if len(value) <= maxShort {
				p.CorrelationId = value
				continue
			}
		case events.MetaAppID:
			if len(value) <= maxShort {
				p.AppId = value
				continue
			}
		}
		if len(key) > maxShort {
			return p, tooLong("metadata key", key)
		}
		if !reserved(key) {
			p.Headers[key] = value
		}
	}
	if size > maxHeaders {
		return p, events.Errorf(events.CodeInvalid, "message %s has %d bytes of metadata, which is more than the %d that RabbitMQ takes: shorten it, or move it to the body", msg.UUID, size, maxHeaders)
	}
	return p, nil
}

func tooLong(what, value string) error {
	return events.Errorf(events.CodeInvalid, "the %s is longer than the %d bytes that AMQP allows: %.40q…", what, maxShort, value)
}

// reserved tells whether a header means something to the broker. It writes most
// of them itself, and closes the channel of a publisher that sends CC as text.
func reserved(key string) bool {
	if key == "CC" || key == "BCC" {
		return true
	}
	if !strings.HasPrefix(key, "x-") {
		return false
	}
	switch key {
	case MetaRedelivered, "x-delivery-count", "x-acquired-count", "x-death", "x-delay":
		return true
	}
	return strings.HasPrefix(key, "x-first-death-") || strings.HasPrefix(key, "x-last-death-")
}

// Unmarshal never returns an error.
func (m Marshaler) Unmarshal(d amqp091.Delivery) (*message.Message, error) {
	msg := message.NewMessage(d.MessageId, d.Body)
	meta := make(message.Metadata, len(d.Headers)+4) // So that it need not grow.
	msg.Metadata = meta
	for key, value := range d.Headers {
		meta[key] = headerText(value)
	}
	fill(meta, events.MetaType, d.Type)
	fill(meta, events.MetaCorrelationID, d.CorrelationId)
	fill(meta, events.MetaAppID, d.AppId)
	if !d.Timestamp.IsZero() {
		meta[events.MetaTimestamp] = timeText(d.Timestamp)
	}
	if meta[events.MetaType] == "" && d.RoutingKey != "" {
		meta[events.MetaType] = d.RoutingKey
	}
	if d.Redelivered {
		meta[MetaRedelivered] = "true"
	}
	return msg, nil
}

func fill(meta message.Metadata, key, value string) {
	if value != "" {
		meta[key] = value
	}
}
