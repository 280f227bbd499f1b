package router

import (
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// envelopeCodec is the marshaler of Watermill's command and event bus: what goes
// in and out is an *events.Envelope.
type envelopeCodec struct{}

var _ cqrs.CommandEventMarshaler = envelopeCodec{}

// Marshal makes the message of an envelope: the body, and the header beside it.
func (envelopeCodec) Marshal(v any) (*message.Message, error) {
	e, ok := v.(*events.Envelope)
	if !ok {
		return nil, events.Errorf(events.CodeInternal, "the buses carry *events.Envelope, not %T", v)
	}
	msg := message.NewMessage(e.ID, events.Encode(*e))
	writeHeader(msg.Metadata, e.Header)
	return msg, nil
}

// Unmarshal reads a message into the *events.Envelope v.
func (envelopeCodec) Unmarshal(msg *message.Message, v any) error {
	e, ok := v.(*events.Envelope)
	if !ok {
		return events.Errorf(events.CodeInternal, "the buses carry *events.Envelope, not %T", v)
	}
	return decode(msg, e)
}

// Name is the wire name of an envelope's type.
func (envelopeCodec) Name(v any) string {
	if e, ok := v.(*events.Envelope); ok {
		return e.Type
	}
	return ""
}

// NameFromMessage is the wire name beside the body.
func (envelopeCodec) NameFromMessage(msg *message.Message) string {
	return msg.Metadata.Get(events.MetaType)
}

// writeHeader puts a header beside the body. What is empty is left out.
func writeHeader(m message.Metadata, h events.Header) {
	set := func(key, value string) {
		if value != "" {
			m[key] = value
		}
	}
	set(events.MetaType, h.Type)
	if !h.Timestamp.IsZero() {
		m[events.MetaTimestamp] = h.Timestamp.UTC().Format(events.TimeLayout)
	}
	set(events.MetaCorrelationID, h.CorrelationID)
	set(events.MetaCausationID, h.CausationID)
	set(events.MetaAggregate, h.Aggregate)
	set(events.MetaAggregateID, h.AggregateID)
	if h.Version > 0 {
		m[events.MetaVersion] = strconv.FormatUint(h.Version, 10)
	}
	if h.SchemaVersion > 0 {
		m[events.MetaSchemaVersion] = strconv.Itoa(h.SchemaVersion)
	}
	set(events.MetaTraceparent, h.Traceparent)
}

// readHeader reads what travels beside the body. A foreign producer may have put
// anything there; what makes no sense is ignored, since the body decides.
func readHeader(msg *message.Message, h *events.Header) {
	m := msg.Metadata
	*h = events.Header{
		ID:            msg.UUID,
		Type:          m[events.MetaType],
		CorrelationID: m[events.MetaCorrelationID],
		CausationID:   m[events.MetaCausationID],
		Aggregate:     m[events.MetaAggregate],
		AggregateID:   m[events.MetaAggregateID],
		Traceparent:   m[events.MetaTraceparent],
	}
	if n, ok := numberOf(m[events.MetaVersion]); ok {
		h.Version = uint64(n)
	}
	if n, ok := numberOf(m[events.MetaSchemaVersion]); ok {
		h.SchemaVersion = int(n)
	}
}

// numberOf reads a version, which is 1 or more and below 2³¹.
func numberOf(s string) (uint32, bool) {
	if s == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return uint32(n), err == nil && n > 0 //nolint:gosec // It has 31 bits.
}

// decode reads a message into e. The time beside the body counts only if the body
// has none, which is rare; so it is read last.
func decode(msg *message.Message, e *events.Envelope) error {
	readHeader(msg, &e.Header)
	if err := events.DecodeInto(e, msg.Payload); err != nil {
		return err
	}
	if e.Timestamp.IsZero() {
		if t, err := time.Parse(time.RFC3339Nano, msg.Metadata[events.MetaTimestamp]); err == nil {
			e.Timestamp = t.UTC()
		}
	}
	return nil
}
