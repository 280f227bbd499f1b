// Package codec turns envelopes into Watermill messages and back: the body is JSON,
// and the header travels in the metadata.
package codec

import (
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// Marshaler is the marshaler of Watermill's command and event buses. The values that
// it reads and writes are of the type *events.Envelope.
type Marshaler struct{}

var _ cqrs.CommandEventMarshaler = Marshaler{}

// Marshal returns the message of an envelope.
func (Marshaler) Marshal(v any) (*message.Message, error) {
	e, err := envelope(v)
	if err != nil {
		return nil, err
	}
	return Encode(e), nil
}

// Unmarshal reads a message into the *events.Envelope v.
func (Marshaler) Unmarshal(msg *message.Message, v any) error {
	e, err := envelope(v)
	if err != nil {
		return err
	}
	return Decode(msg, e)
}

func envelope(v any) (*events.Envelope, error) {
	if e, ok := v.(*events.Envelope); ok {
		return e, nil
	}
	return nil, events.Errorf(events.CodeInternal, "the buses carry *events.Envelope, not %T", v)
}

// Name returns the wire name of an envelope's type.
func (Marshaler) Name(v any) string {
	if e, ok := v.(*events.Envelope); ok {
		return e.Type
	}
	return ""
}

// NameFromMessage returns the wire name in the metadata.
func (Marshaler) NameFromMessage(msg *message.Message) string {
	return msg.Metadata.Get(events.MetaType)
}

// Encode returns the message of an envelope. Header fields that are empty are left out.
func Encode(e *events.Envelope) *message.Message {
	msg := message.NewMessage(e.ID, events.Encode(*e))
	set := func(key, value string) {
		if value != "" {
			msg.Metadata[key] = value
		}
	}
	set(events.MetaType, e.Type)
	if !e.Timestamp.IsZero() {
		set(events.MetaTimestamp, e.Timestamp.UTC().Format(events.TimeLayout))
	}
	set(events.MetaCorrelationID, e.CorrelationID)
	set(events.MetaCausationID, e.CausationID)
	set(events.MetaAggregate, e.Aggregate)
	set(events.MetaAggregateID, e.AggregateID)
	if e.Version > 0 {
		set(events.MetaVersion, strconv.FormatUint(e.Version, 10))
	}
	if e.SchemaVersion > 0 {
		set(events.MetaSchemaVersion, strconv.Itoa(e.SchemaVersion))
	}
	set(events.MetaTraceparent, e.Traceparent)
	return msg
}

// Decode reads a message into e. The body takes precedence over the metadata. A message
// that has no id leaves e without one. An error has the code UNDECODABLE.
func Decode(msg *message.Message, e *events.Envelope) error {
	Header(msg, &e.Header)
	if err := events.DecodeInto(e, msg.Payload); err != nil {
		return err
	}
	// A body without a timestamp is rare; so that of the metadata is read last.
	if e.Timestamp.IsZero() {
		if t, err := time.Parse(time.RFC3339Nano, msg.Metadata[events.MetaTimestamp]); err == nil {
			e.Timestamp = t.UTC()
		}
	}
	return nil
}

// Header reads the metadata of a message into h, except for the timestamp. Foreign
// producers may have put anything there: values that make no sense are ignored.
func Header(msg *message.Message, h *events.Header) {
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
	if n, ok := version(m[events.MetaVersion]); ok {
		h.Version = uint64(n)
	}
	if n, ok := version(m[events.MetaSchemaVersion]); ok {
		h.SchemaVersion = int(n)
	}
}

// version reads a version, which is 1 or more and below 2³¹.
func version(s string) (uint32, bool) {
	if s == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return uint32(n), err == nil && n > 0 //nolint:gosec // It has 31 bits.
}

// Receiver reads messages as their handler sees them. All that read the messages of one
// handler must do so with the same Receiver, so that they find the same ids.
type Receiver struct {
	// MaxBytes is how long a body may be.
	MaxBytes int
	// ContentID derives the id of a message that has none from its content, so that equal ones
	// have the same one. Otherwise each gets its own.
	ContentID bool
	// HashID hashes an id that is not a UUID into one, as the sender of a command does.
	HashID bool
}

// Receive reads a message into e. One without an id gets one, which is written into the
// message, so that it keeps it wherever it goes from here; one without a correlation id
// starts a correlation of its own. After an error, which has the code TOO_LARGE or
// UNDECODABLE, e has at least the identity.
func (r Receiver) Receive(msg *message.Message, e *events.Envelope) error {
	var err error
	if n := len(msg.Payload); n > r.MaxBytes {
		err = events.Errorf(events.CodeTooLarge, "the message has %d bytes, and %d are allowed", n, r.MaxBytes)
	} else {
		err = Decode(msg, e)
	}
	if err != nil {
		Header(msg, &e.Header)
	}
	switch {
	case e.ID == "" && r.ContentID:
		e.ID = events.DeriveID("content", e.Type, string(msg.Payload))
		msg.UUID = e.ID
	case e.ID == "":
		e.ID = newID(msg)
		msg.UUID = e.ID
	case r.HashID:
		e.ID = events.NormalizeID(e.ID)
	case err != nil:
		e.ID = events.MessageID(e.ID)
	}
	if e.CorrelationID == "" {
		e.CorrelationID = e.ID
	}
	delete(msg.Metadata, events.MetaEntry)
	return err
}

// newID returns the id of a message that has none: the same at every delivery if the transport
// knows the message, and else a new one.
func newID(msg *message.Message) string {
	if entry := msg.Metadata[events.MetaEntry]; entry != "" {
		return events.DeriveID("entry", entry)
	}
	return events.NewID()
}
