package router

import (
	"cmp"
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
	"github.com/pitwheel/pitwheel/router/internal/codec"
)

// CommandsConfig is what a command sender is made of. Catalogue, Publisher and Log are
// required.
type CommandsConfig struct {
	// Catalogue has the types of the commands.
	Catalogue *events.Catalogue
	// Publisher is that of the [Transport].
	Publisher message.Publisher
	// Log is where outcomes are stored.
	Log Log
	// MaxBytes bounds a command's message, as [Config].MaxBytes does where it is
	// handled. Default: 1 MiB.
	MaxBytes int
	// Metrics are optional.
	Metrics *Metrics
}

// bodyOverhead is the size of a message's body without its data and type, in bytes.
const bodyOverhead = len(`{"id":"00000000-0000-0000-0000-000000000000","type":"","timestamp":"2006-01-02T15:04:05.000Z","data":}`)

// Commands sends commands, and waits for their outcomes. It works independently of a
// [Router]: one that sends may be used before, without, or within one that decides. It
// is safe for concurrent use.
type Commands struct {
	catalogue *events.Catalogue
	bus       *cqrs.CommandBus
	log       Log
	maxBytes  int
	outcomes  *outcomes
}

// NewCommands returns a command sender. It connects to nothing. A missing field is an
// error with the code CONFIG.
func NewCommands(c CommandsConfig) (*Commands, error) {
	if c.Catalogue == nil || c.Publisher == nil || c.Log == nil {
		return nil, events.Errorf(events.CodeConfig, "a command sender needs Catalogue, Publisher and Log")
	}
	if c.MaxBytes < 0 {
		return nil, events.Errorf(events.CodeConfig, "MaxBytes is %d; it must not be negative", c.MaxBytes)
	}
	if c.Metrics != nil {
		c.Publisher = c.Metrics.publisher("commands", c.Publisher)
	}
	bus, err := cqrs.NewCommandBusWithConfig(c.Publisher, cqrs.CommandBusConfig{
		GeneratePublishTopic: func(p cqrs.CommandBusGeneratePublishTopicParams) (string, error) {
			return events.CommandTopic(p.Command.(*events.Envelope).Aggregate), nil
		},
		Marshaler: codec.Marshaler{},
	})
	if err != nil {
		return nil, err
	}
	return &Commands{
		catalogue: c.Catalogue, bus: bus, log: c.Log, maxBytes: cmp.Or(c.MaxBytes, DefaultMaxBytes), outcomes: newOutcomes(c.Log),
	}, nil
}

// Send validates a command and publishes it. It returns when the broker has confirmed it:
// the command will be decided, and the receipt says where its outcome will be stored.
//
// An invalid command is an [events.Rejection]. Other errors have the codes UNKNOWN_TYPE,
// TOO_LARGE, ID_IN_USE (the id was used for another command, or for other data), UNHANDLED (no queue is bound for it), and UNAVAILABLE or TIMEOUT, after which
// it is unknown whether the broker has the command: send it again under the same id.
//
// Called with a handler's context, the command continues the correlation of the message
// that is handled, and its id is the same when the handler is retried.
func (c *Commands) Send(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Receipt, error) {
	e, err := c.prepare(ctx, cmd, o)
	if err != nil {
		return events.Receipt{}, err
	}
	r := receiptOf(e)
	if mayRepeat(o) {
		r = c.hashedReceipt(e)
		if err := c.inUse(ctx, r); err != nil {
			return events.Receipt{}, err
		}
	}
	if err := c.bus.Send(ctx, e); err != nil {
		return events.Receipt{}, err
	}
	return r, nil
}

// mayRepeat reports whether another command may have been sent under the id in options.
func mayRepeat(o events.SendOptions) bool { return o.ID != "" && !o.NewID }

// Execute sends a command and waits for its outcome: [Commands.Send], then
// [Commands.Await]. If the command is given an id, the outcome that is stored under it
// already is returned, with Repeated set, and nothing is sent.
//
// After an error with the code TIMEOUT or UNAVAILABLE the outcome is unknown; executing
// the command again under the same id returns it, and never adds an event twice. If the
// broker has the command and ctx ended before its outcome was stored, the returned
// outcome has the status unknown and the command's ids. However soon ctx ends, the broker
// has a second to take the command.
//
// [Router.Execute] decides a command in its own process where it can.
func (c *Commands) Execute(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Outcome, error) {
	e, err := c.prepare(ctx, cmd, o)
	if err != nil {
		return events.Outcome{}, err
	}
	return c.execute(ctx, e, mayRepeat(o))
}

// execute sends a prepared command and waits for its outcome. If it may be a repetition,
// a stored outcome is looked up first.
func (c *Commands) execute(ctx context.Context, e *events.Envelope, maybeRepeated bool) (events.Outcome, error) {
	r := receiptOf(e)
	if maybeRepeated {
		r = c.hashedReceipt(e)
		// After an error the command is sent: it cannot be decided twice.
		if stored, err := c.log.Outcomes(ctx, []events.Receipt{r}); err == nil && stored[0].Status != "" {
			stored[0].Repeated = true
			return checkedOutcome(r, stored[0])
		}
	}
	sending, cancel := withGrace(ctx)
	defer cancel()
	if err := c.bus.Send(sending, e); err != nil {
		return events.Outcome{}, notSent(ctx, r.CommandID, err)
	}
	return c.awaitSent(ctx, r)
}

// notSent returns the error for a command that the broker has not confirmed. If the caller's
// time is over, that is the reason.
func notSent(ctx context.Context, commandID string, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return unknownOutcome(commandID, err)
}

// awaitSent waits for the outcome of a command that the broker has.
func (c *Commands) awaitSent(ctx context.Context, r events.Receipt) (events.Outcome, error) {
	outcome, err := c.Await(ctx, r)
	if err != nil && ctx.Err() != nil {
		outcome = events.Outcome{
			Status: events.StatusUnknown, Command: r.Command, CommandID: r.CommandID, CorrelationID: r.CorrelationID,
			Aggregate: r.Aggregate, AggregateID: r.AggregateID,
		}
	}
	return outcome, err
}

// prepare validates a command and returns its message: as it is sent to a queue, or
// decided in this process.
func (c *Commands) prepare(ctx context.Context, cmd events.Command, o events.SendOptions) (*events.Envelope, error) {
	if isNil(cmd) {
		return nil, events.Errorf(events.CodeInvalid, "the command to send is nil")
	}
	t, ok := c.catalogue.Lookup(cmd.CommandType())
	if !ok || !t.Command {
		return nil, events.Errorf(events.CodeUnknownType, "the command %q is not in the catalogue", cmd.CommandType())
	}
	if v, ok := cmd.(events.Validator); ok {
		if err := v.Validate(); err != nil {
			return nil, err
		}
	}
	e := &events.Envelope{Header: events.Header{
		ID: o.ID, Type: t.Name, Aggregate: t.Aggregate, CorrelationID: o.CorrelationID, Traceparent: o.Traceparent,
		Timestamp: time.Now().UTC().Truncate(time.Millisecond), SchemaVersion: t.Schema,
	}}
	if e.ID != "" {
		e.ID = events.NormalizeID(e.ID)
	}
	if d := deliveryOf(ctx); d != nil {
		if err := d.continueIn(e, cmd); err != nil {
			return nil, err
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
		return nil, err
	}
	e.AggregateID = cmd.AggregateID()
	if e.Data, err = json.Marshal(cmd); err != nil {
		return nil, events.Errorf(events.CodeInvalid, "the command %s cannot be written as JSON: %w", t.Name, err)
	}
	if n := len(e.Data) + len(t.Name) + bodyOverhead; n > c.maxBytes {
		return nil, events.Errorf(events.CodeTooLarge, "as a message the command %s has %d bytes, and %d are allowed", t.Name, n, c.maxBytes)
	}
	return e, nil
}

// receiptOf returns the receipt of a prepared command.
func receiptOf(e *events.Envelope) events.Receipt {
	return events.Receipt{CommandID: e.ID, CorrelationID: e.CorrelationID, Aggregate: e.Aggregate, AggregateID: e.AggregateID, Command: e.Type}
}

// identify returns the command with the id of the aggregate that it is for.
func identify(cmd events.Command, t *events.Type, commandID string) (events.Command, error) {
	if cmd.AggregateID() != "" {
		return cmd, nil
	}
	i, ok := cmd.(events.Identifiable)
	if !ok {
		return nil, events.Reject(events.CodeInvalid, "%s does not say which %s it is for", t.Name, t.Aggregate)
	}
	return i.WithAggregateID(derivedAggregate(t.Aggregate, commandID)), nil
}

// isDerivedAggregate reports whether an aggregate has the id that [derivedAggregate]
// returns.
func isDerivedAggregate(id, aggregate, commandID string) bool {
	const version = 14 // where a UUID has its version: 5 for one that is derived
	return len(id) > version && id[version] == '5' && id == derivedAggregate(aggregate, commandID)
}

// derivedAggregate returns the id of an aggregate that is made by a command and has its
// id from that.
func derivedAggregate(aggregate, commandID string) string {
	return events.DeriveID("aggregate", aggregate, commandID)
}
