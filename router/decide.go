package router

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	// maxConflicts bounds how often one delivery of a command is decided again
	// because another one was faster. Within one instance the lane keeps commands
	// of an aggregate apart, so conflicts come from other instances only.
	maxConflicts = 20
	// snapshotEvery is after how many events beyond the last snapshot the next one
	// is made. Loading then never reads more than about that many events.
	snapshotEvery = 20
)

// decideFunc is a decision with its types erased.
type decideFunc func(context.Context, *events.Catalogue, events.Command, events.History) (decision, error)

// decision is what a command's handler answered, and the state it saw.
type decision struct {
	data  []events.Data
	state func() ([]byte, error)
}

// decider handles the commands of one type: load, fold, decide, append.
type decider struct {
	plan      *plan
	catalogue *events.Catalogue
	log       Log
	maxBytes  int
	metrics   *Metrics
	logger    *slog.Logger
}

func (d *decider) handle(ctx context.Context, e *events.Envelope) error {
	v, err := d.catalogue.DecodeData(*e)
	if err != nil {
		return err
	}
	cmd, ok := v.(events.Command)
	if !ok {
		return events.Errorf(events.CodeUndecodable, "%s is no command", e.Type)
	}
	t := d.plan.byName[d.plan.types[0]]
	if e.Type != t.Name {
		return events.Errorf(events.CodeUnknownType, "the handler %s decides %s, not %s", d.plan.name, t.Name, e.Type)
	}
	e.Aggregate = t.Aggregate
	if cmd, err = identify(cmd, t, e.ID); err != nil {
		return err // Without an aggregate there is no place for an outcome.
	}
	e.AggregateID = cmd.AggregateID()
	outcome, err := d.settle(ctx, e, cmd)
	if err != nil {
		var given aborted
		if !errors.As(err, &given) && ctx.Err() == nil {
			d.metrics.commands.WithLabelValues(t.Name, "failed").Inc()
		}
		return err
	}
	result := outcome.Status
	if outcome.Repeated {
		result = string(verdictDuplicate)
		if in := deliveryOf(ctx); in != nil {
			in.repeated = true
		}
	}
	d.metrics.commands.WithLabelValues(t.Name, result).Inc()
	d.logger.DebugContext(ctx, "command decided", slog.String("command", t.Name), slog.String("command_id", e.ID),
		slog.String("correlation_id", e.CorrelationID), slog.String("aggregate_id", e.AggregateID),
		slog.String("status", outcome.Status), slog.String("code", outcome.Code), slog.Uint64("version", outcome.Version))
	return nil
}

// settle decides a command until its outcome is stored.
func (d *decider) settle(ctx context.Context, e *events.Envelope, cmd events.Command) (events.Outcome, error) {
	if v, ok := cmd.(events.Validator); ok {
		if err := v.Validate(); err != nil {
			return d.reject(ctx, e, err)
		}
	}
	aggregate, _ := d.catalogue.AggregateOfState(d.plan.state)
	for conflicts := 0; ; conflicts++ {
		history, err := d.log.Load(ctx, e.Aggregate, e.AggregateID, aggregate.StateSchema)
		if err != nil {
			return events.Outcome{}, storeFailure(err)
		}
		decided, err := d.plan.decide(ctx, d.catalogue, cmd, history)
		if err != nil {
			return d.reject(ctx, e, err)
		}
		a, err := d.appendOf(e, history.Version(), decided.data)
		if err != nil {
			return d.reject(ctx, e, err)
		}
		outcome, err := d.append(ctx, a)
		if err == nil {
			d.snapshot(ctx, e, history, decided, aggregate.StateSchema)
			return outcome, nil
		}
		if events.CodeOf(err) != events.CodeConflict || conflicts == maxConflicts {
			return events.Outcome{}, storeFailure(err)
		}
		d.metrics.conflicts.Inc()
		// A short, random pause lets one of the rivals win.
		if !backoff.Wait(ctx, rand.N(time.Duration(conflicts+1)*2*time.Millisecond)) { //nolint:gosec // Spreading rivals needs no secret randomness.
			return events.Outcome{}, ctx.Err()
		}
	}
}

// reject stores a refusal as the command's outcome; any other error is returned.
func (d *decider) reject(ctx context.Context, e *events.Envelope, err error) (events.Outcome, error) {
	r, ok := events.AsRejection(err)
	if !ok {
		return events.Outcome{}, err
	}
	outcome, err := d.append(ctx, events.AppendRequest{Aggregate: e.Aggregate, AggregateID: e.AggregateID, Outcome: events.Outcome{
		Status: events.StatusRejected, Command: e.Type, CommandID: e.ID, CorrelationID: e.CorrelationID,
		Aggregate: e.Aggregate, AggregateID: e.AggregateID, Code: r.Code, Message: r.Message, Field: r.Field,
	}})
	return outcome, storeFailure(err)
}

func (d *decider) append(ctx context.Context, a events.AppendRequest) (events.Outcome, error) {
	started := time.Now()
	outcome, err := d.log.Append(ctx, a)
	d.metrics.append.Observe(time.Since(started).Seconds())
	return outcome, err
}

// appendOf turns what was decided into what is stored.
func (d *decider) appendOf(cmd *events.Envelope, version uint64, decided []events.Data) (events.AppendRequest, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	a := events.AppendRequest{Aggregate: cmd.Aggregate, AggregateID: cmd.AggregateID, ExpectedVersion: version}
	a.Outcome = events.Outcome{
		Status: events.StatusAccepted, Command: cmd.Type, CommandID: cmd.ID, CorrelationID: cmd.CorrelationID,
		Aggregate: cmd.Aggregate, AggregateID: cmd.AggregateID, Version: version + uint64(len(decided)), Events: []events.EventRef{},
	}
	for i, data := range decided {
		t, ok := d.catalogue.Lookup(data.EventType())
		if !ok || t.Command || t.Aggregate != cmd.Aggregate {
			return a, events.Permanent(events.Errorf(events.CodeUnknownType,
				"%s decided %q, which is no event of the aggregate %q; register it in its domain's Register", d.plan.name, data.EventType(), cmd.Aggregate))
		}
		if k, ok := data.(events.Keyed); ok && k.AggregateID() != cmd.AggregateID {
			return a, events.Permanent(events.Errorf(events.CodeInternal,
				"%s decided %s for %q while the command is for %q; an event belongs to its command's aggregate", d.plan.name, t.Name, k.AggregateID(), cmd.AggregateID))
		}
		body, err := json.Marshal(data)
		if err != nil {
			return a, events.Permanent(events.Errorf(events.CodeInternal, "%s cannot be written as JSON: %w", t.Name, err))
		}
		if n := len(body) + len(t.Name) + bodyOverhead; n > d.maxBytes { // Stored, nobody could receive it.
			return a, events.Reject(events.CodeTooLarge, "as a message the event %s would have %d bytes, and %d are allowed", t.Name, n, d.maxBytes)
		}
		h := events.Header{
			ID: events.NewID(), Type: t.Name, Timestamp: now, Aggregate: cmd.Aggregate, AggregateID: cmd.AggregateID,
			Version: version + uint64(i) + 1, CorrelationID: cmd.CorrelationID, CausationID: cmd.ID,
			SchemaVersion: t.Schema, Traceparent: cmd.Traceparent,
		}
		a.Events = append(a.Events, events.Envelope{Header: h, Data: body})
		a.Outcome.Events = append(a.Outcome.Events, events.EventRef{ID: h.ID, Type: h.Type, Version: h.Version})
	}
	return a, nil
}

// snapshot keeps the state that was just folded from many events. It is a cache:
// when keeping it fails, the next load is slow, and nothing else.
func (d *decider) snapshot(ctx context.Context, e *events.Envelope, h events.History, decided decision, schema string) {
	if len(h.Events) < snapshotEvery {
		return
	}
	state, err := decided.state()
	if err == nil {
		err = d.log.SaveSnapshot(ctx, e.Aggregate, e.AggregateID, events.Snapshot{Version: h.Version(), Schema: schema, State: state})
	}
	if err != nil {
		d.logger.WarnContext(ctx, "snapshot not kept, loading stays slow", slog.String("aggregate", e.Aggregate),
			slog.String("aggregate_id", e.AggregateID), slog.Any("error", err))
	}
}

// storeFailure marks errors of the store, which are nobody's failed attempt: the
// command is given back until the store is there again.
func storeFailure(err error) error {
	if err == nil || events.IsPermanent(err) {
		return err
	}
	return aborted{err}
}
