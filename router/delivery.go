package router

import (
	"cmp"
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// delivery is one delivery of a message to a handler. It is a context at the same
// time, so that a handler's context leads to it without an allocation of its own.
type delivery struct {
	context.Context
	msg      *message.Message
	handler  string // its name
	envelope events.Envelope
	// at is where the event is in the log, if the handler owes it an answer.
	at   events.LogPosition
	owed bool
	// undecodable is why the message could not be decoded, or lacks data; nil if it is whole.
	undecodable error
	// foreign is set for a message that is not an event of the log: its data may be incomplete.
	foreign bool
	// commandHash is that of the command, once it is read.
	commandHash string
	// executed is set for a command that is decided for a caller who waits.
	executed bool
	// until is when an attempt has to end even if the policy allows more; zero: no bound.
	until time.Time
	// turn is the aggregate whose commands wait for this one; "" for none.
	turn string
	// attempts is how often the message was tried, this time included.
	attempts int
	// firstFailed is when the first attempt failed; zero if none has.
	firstFailed time.Time
	// sent counts the commands that the handler sent, by their content: two equal ones
	// get two ids, and a retried handler sends the same ones again.
	sent    map[string]int
	sending sync.Mutex
}

type deliveryKey struct{}

// Value returns the delivery itself for its key, and else the value of the message's
// own context.
func (d *delivery) Value(key any) any {
	if _, ok := key.(deliveryKey); ok {
		return d
	}
	return d.Context.Value(key)
}

// deliveryOf returns the delivery that a context belongs to, or nil.
func deliveryOf(ctx context.Context) *delivery {
	if d, ok := ctx.(*delivery); ok {
		return d
	}
	d, _ := ctx.Value(deliveryKey{}).(*delivery)
	return d
}

// HandlerName returns the name of the handler that a context belongs to: that of its
// message, in a [Config.Middleware], or its own. It is empty outside of handlers.
// Watermill's HandlerNameFromCtx does not know commands that [Router.Execute] decides.
func HandlerName(ctx context.Context) string {
	if d := deliveryOf(ctx); d != nil {
		return d.handler
	}
	return ""
}

// receipt returns the receipt of a command that was read.
func (d *delivery) receipt() events.Receipt {
	r := receiptOf(&d.envelope)
	r.CommandHash = d.commandHash
	return r
}

// attrs returns what every log line about a delivery says.
func (d *delivery) attrs(more ...slog.Attr) []any {
	out := make([]any, 0, 4+len(more))
	out = append(out,
		slog.String("handler", d.handler),
		slog.String("type", d.envelope.Type),
		slog.String("message_id", d.envelope.ID),
		slog.String("correlation_id", d.envelope.CorrelationID),
	)
	for _, a := range more {
		out = append(out, a)
	}
	return out
}

// continueIn joins a command to the message that its sender handles: it gets the
// correlation of that message, and an id that is the same when the handler is retried.
func (d *delivery) continueIn(e *events.Envelope, cmd events.Command) error {
	e.CorrelationID = cmp.Or(e.CorrelationID, d.envelope.CorrelationID)
	e.CausationID = d.envelope.ID
	e.Traceparent = cmp.Or(e.Traceparent, d.envelope.Traceparent)
	if e.ID != "" {
		return nil
	}
	data, err := json.Marshal(cmd)
	if err != nil {
		return events.Errorf(events.CodeInvalid, "the command %s cannot be written as JSON: %w", e.Type, err)
	}
	content := e.Type + string(data)
	d.sending.Lock()
	defer d.sending.Unlock()
	if d.sent == nil {
		d.sent = map[string]int{}
	}
	n := d.sent[content]
	d.sent[content] = n + 1
	e.ID = events.DeriveID("command", d.handler, d.envelope.ID, content, strconv.Itoa(n))
	return nil
}
