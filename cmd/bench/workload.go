package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/backoff"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

const (
	bodySize = 230  // bytes, a typical event
	keys     = 1000 // aggregates that the messages are spread over
	userType = "USER_CREATED"
	topic    = "user.events"
)

// workload are n events of the contract's shape, spread over a number of
// aggregates, each of which has the versions 1, 2, 3, …
type workload struct {
	n, keys, size int
}

func standard(n int) workload { return workload{n: n, keys: keys, size: bodySize} }

// userID returns the id of an aggregate.
func userID(key int) string { return "0190f3c2-1111" + messageID(key)[13:] }

// envelope returns the event with a number.
func (w workload) envelope(i int) events.Envelope {
	user := userID(i % w.keys)
	e := events.Envelope{Header: events.Header{
		ID: messageID(i), Type: userType, Timestamp: time.Now().UTC().Truncate(time.Millisecond),
		Aggregate: "user", AggregateID: user, Version: uint64(i/w.keys) + 1,
		CorrelationID: messageID(i), CausationID: messageID(i), SchemaVersion: 1,
	}}
	data := sample.Created{UserID: user, Email: "ada@ex.com"}
	e.Data, _ = json.Marshal(data) // A struct of strings always marshals.
	if short := w.size - len(events.Encode(e)); short > 0 {
		data.Name = strings.Repeat("a", short)
		e.Data, _ = json.Marshal(data)
	}
	return e
}

// asMessage returns an event as a message.
func asMessage(e events.Envelope) *message.Message {
	msg := message.NewMessage(e.ID, events.Encode(e))
	msg.Metadata = message.Metadata{
		events.MetaType: e.Type, events.MetaTimestamp: e.Timestamp.Format(events.TimeLayout),
		events.MetaAggregate: e.Aggregate, events.MetaAggregateID: e.AggregateID,
		events.MetaVersion:       strconv.FormatUint(e.Version, 10),
		events.MetaCorrelationID: e.CorrelationID, events.MetaCausationID: e.CausationID,
		events.MetaSchemaVersion: strconv.Itoa(e.SchemaVersion),
	}
	return msg
}

// message returns the event with a number as a message.
func (w workload) message(i int) *message.Message { return asMessage(w.envelope(i)) }

// messages returns all events as messages.
func (w workload) messages() []*message.Message {
	out := make([]*message.Message, w.n)
	for i := range out {
		out[i] = w.message(i)
	}
	return out
}

// pause waits, as a handler that calls another service does.
func pause(ctx context.Context, d time.Duration) error {
	if d > 0 && !backoff.Wait(ctx, d) {
		return ctx.Err()
	}
	return nil
}
