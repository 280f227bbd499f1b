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
	// maxShort is the length of the longest AMQP short string, in bytes: a property, the
	// name of a header, a routing key.
	maxShort = 255
	// maxHeaders bounds all metadata of a message, in bytes. All properties are in one
	// frame, which RabbitMQ limits to 128 KiB; a larger one would close the connection.
	maxHeaders = 100_000
)

// MetaRedelivered is the metadata key of a message that the broker delivers again; its
// value is "true". How often a quorum queue has delivered it is in "x-delivery-count".
const MetaRedelivered = "x-redelivered"

// Marshaler is watermill-amqp's Marshaler: it converts between Watermill's messages and
// AMQP's, as other services expect them and as any producer may send them.
//
// Outbound, the UUID becomes message_id; the metadata type, timestamp,
// correlation_id and app_id become properties of the same name; all other
// metadata becomes string headers, except what the broker has added itself. A timestamp
// loses its fractions of a second, as AMQP has none.
//
// Inbound, properties and headers become metadata, headers as text: numbers in decimal,
// tables and arrays as JSON, times in RFC 3339, void as "". A message without a type has
// its routing key as type. One without an app_id has an empty one in its metadata, so that
// it is not taken for one of ours when it is published again. Unmarshal never fails.
type Marshaler struct {
	// AppID is the app_id of messages whose metadata has none.
	AppID string
}

var _ amqp.Marshaler = Marshaler{}

// Marshal returns an error with the code INVALID if AMQP cannot carry the message: its id,
// its type or a metadata key has more than 255 bytes, or its metadata more than 100,000
// bytes in all.
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
		return p, events.Errorf(events.CodeInvalid, "message %s has %d bytes of metadata, more than the %d that RabbitMQ accepts: shorten it, or move it to the body", msg.UUID, size, maxHeaders)
	}
	return p, nil
}

func tooLong(what, value string) error {
	return events.Errorf(events.CodeInvalid, "the %s is longer than the %d bytes that AMQP allows: %.40q…", what, maxShort, value)
}

// reserved reports whether a header has a meaning to the broker. It sets most of them
// itself, and closes the channel of a publisher that sends CC as text.
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
	if _, ok := meta[events.MetaAppID]; !ok || d.AppId != "" {
		meta[events.MetaAppID] = d.AppId
	}
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
