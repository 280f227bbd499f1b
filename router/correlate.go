package router

import (
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// correlate decodes a message and puts it into its own context. A message that
// nobody can read goes on all the same: it fails at the end of the pipeline,
// and so ends where every other failure ends.
func (c *consumer) correlate(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		d := &delivery{Context: msg.Context(), handler: c, verdict: verdictAborted}
		d.unreadable = c.read(msg, &d.envelope)
		msg.SetContext(d)
		return next(msg)
	}
}

// read reads a message, unless it is larger than any message may be.
func (c *consumer) read(msg *message.Message, e *events.Envelope) error {
	if n := len(msg.Payload); n > c.maxBytes {
		unread(msg, e)
		return events.Errorf(events.CodeTooLarge, "the message has %d bytes, and %d are allowed", n, c.maxBytes)
	}
	return readMessage(msg, e)
}

// readMessage reads a message. One that cannot be read has an identity all the same:
// e then has a header that says all there is to say, and an id that is the same
// whenever the message comes.
func readMessage(msg *message.Message, e *events.Envelope) error {
	if err := decode(msg, e); err != nil {
		unread(msg, e)
		return err
	}
	if e.CorrelationID == "" {
		e.CorrelationID = e.ID // A foreign message starts a story of its own.
	}
	return nil
}

// unread says of a message what can be said without reading its body.
func unread(msg *message.Message, e *events.Envelope) {
	readHeader(msg, &e.Header)
	switch {
	case e.ID == "":
		e.ID = events.DeriveID("content", e.Type, string(msg.Payload))
	case !events.IsID(e.ID):
		e.ID = events.NormalizeID(e.ID)
	}
	if e.CorrelationID == "" {
		e.CorrelationID = e.ID
	}
}
