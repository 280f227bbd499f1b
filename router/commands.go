package router

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// CommandsConfig is what sending commands needs.
type CommandsConfig struct {
	Catalogue *events.Catalogue
	// Publisher is the transport's publisher to topics.
	Publisher message.Publisher
	// Log is where outcomes are stored.
	Log Log
	// MaxBytes bounds a command's message, as [Config].MaxBytes does where it is
	// handled. Default: 1 MiB.
	MaxBytes int
	// Metrics may be nil.
	Metrics *Metrics
}

// bodyOverhead is how many bytes the body of a command or an event has beside its data and type.
const bodyOverhead = len(`{"id":"00000000-0000-0000-0000-000000000000","type":"","timestamp":"2006-01-02T15:04:05.000Z","data":}`)

// Commands sends commands and waits for their outcome. It is what HTTP, the CLI
// and handlers share; it is safe for concurrent use.
type Commands struct {
	catalogue *events.Catalogue
	bus       *cqrs.CommandBus
	log       Log
	maxBytes  int
	usual     patience
}

// NewCommands makes a sender of commands.
func NewCommands(c CommandsConfig) (*Commands, error) {
	if c.Catalogue == nil || c.Publisher == nil || c.Log == nil {
		return nil, events.Errorf(events.CodeConfig, "sending commands needs a catalogue, a publisher and a log")
	}
	if c.MaxBytes < 0 {
		return nil, events.Errorf(events.CodeConfig, "the largest message has %d bytes; that must not be negative", c.MaxBytes)
	}
	if c.Metrics != nil {
		c.Publisher = c.Metrics.publisher("commands", c.Publisher)
	}
	bus, err := cqrs.NewCommandBusWithConfig(c.Publisher, cqrs.CommandBusConfig{
		GeneratePublishTopic: func(p cqrs.CommandBusGeneratePublishTopicParams) (string, error) {
			return events.CommandTopic(p.Command.(*events.Envelope).Aggregate), nil
		},
		Marshaler: envelopeCodec{},
	})
	if err != nil {
		return nil, err
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	return &Commands{catalogue: c.Catalogue, bus: bus, log: c.Log, maxBytes: c.MaxBytes}, nil
}

// Send validates a command and hands it to the broker. It returns when the broker
// has it: the command will be decided, and where its outcome will be is in the
// receipt. Errors: a rejection if the command is invalid; the codes UNKNOWN_TYPE,
// TOO_LARGE, UNHANDLED (no queue takes it), UNAVAILABLE or TIMEOUT (whether the broker has
// it is unknown; sending it again under its id settles that).
//
// Within a handler, the command continues the story of the message in hand, and
// gets an id that is the same when the handler is retried.
func (c *Commands) Send(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Receipt, error) {
	t, ok := c.catalogue.Lookup(cmd.CommandType())
	if !ok || !t.Command {
		return events.Receipt{}, events.Errorf(events.CodeUnknownType, "the command %q is not in the catalogue", cmd.CommandType())
	}
	if v, ok := cmd.(events.Validator); ok {
		if err := v.Validate(); err != nil {
			return events.Receipt{}, err
		}
	}
	e := events.Envelope{Header: events.Header{
		ID: o.ID, Type: t.Name, Aggregate: t.Aggregate, CorrelationID: o.CorrelationID, Traceparent: o.Traceparent,
		Timestamp: time.Now().UTC().Truncate(time.Millisecond), SchemaVersion: t.Schema,
	}}
	if e.ID != "" {
		e.ID = events.NormalizeID(e.ID)
	}
	if d := deliveryOf(ctx); d != nil {
		if err := d.continueIn(&e, cmd); err != nil {
			return events.Receipt{}, err
		}
	}
	if e.ID == "" {
		e.ID = events.NewID()
	}
	if e.CorrelationID == "" {
		e.CorrelationID = events.NewID()
	}
	cmd, err := identify(cmd, t, e.ID)
	if err != nil {
		return events.Receipt{}, err
	}
	e.AggregateID = cmd.AggregateID()
	if e.Data, err = json.Marshal(cmd); err != nil {
		return events.Receipt{}, events.Errorf(events.CodeInvalid, "the command %s cannot be written as JSON: %w", t.Name, err)
	}
	if n := len(e.Data) + len(t.Name) + bodyOverhead; n > c.maxBytes {
		return events.Receipt{}, events.Errorf(events.CodeTooLarge, "as a message the command %s has %d bytes, and %d are allowed", t.Name, n, c.maxBytes)
	}
	if err := c.bus.Send(ctx, &e); err != nil {
		return events.Receipt{}, err
	}
	return events.Receipt{CommandID: e.ID, CorrelationID: e.CorrelationID, Aggregate: e.Aggregate, AggregateID: e.AggregateID, Command: e.Type}, nil
}

// continueIn joins a command to the message that a handler has in hand.
func (d *delivery) continueIn(e *events.Envelope, cmd events.Command) error {
	if e.CorrelationID == "" {
		e.CorrelationID = d.envelope.CorrelationID
	}
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
	e.ID = events.DeriveID("command", d.handler.plan.name, d.envelope.ID, content, strconv.Itoa(n))
	return nil
}

// identify settles which aggregate a command is for.
func identify(cmd events.Command, t *events.Type, commandID string) (events.Command, error) {
	if cmd.AggregateID() != "" {
		return cmd, nil
	}
	i, ok := cmd.(events.Identifiable)
	if !ok {
		return nil, events.Reject(events.CodeInvalid, "%s does not say which %s it is for", t.Name, t.Aggregate)
	}
	return i.WithAggregateID(events.DeriveID("aggregate", t.Aggregate, commandID)), nil
}
