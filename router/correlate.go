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
		if d.envelope, d.unreadable = decode(msg); d.unreadable != nil {
			d.envelope = events.Envelope{Header: readHeader(msg)}
			if d.envelope.ID == "" {
				d.envelope.ID = events.DeriveID("content", d.envelope.Type, string(msg.Payload))
			}
		}
		if d.envelope.CorrelationID == "" {
			d.envelope.CorrelationID = d.envelope.ID // A foreign message starts a story of its own.
		}
		msg.SetContext(d)
		return next(msg)
	}
}
