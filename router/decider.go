package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	// maxConflicts bounds how often one delivery of a command is decided again because
	// another command was appended first. Within one instance the keyed dispatcher runs
	// the commands of an aggregate one at a time, so conflicts come from other instances.
	maxConflicts = 20
	// snapshotEvery is after how many events beyond the last snapshot the next one is
	// made. Loading then reads not many more events than that.
	snapshotEvery = 20
)

// decider handles the commands of one type: load, fold, decide, append.
type decider struct {
	*command
	handler   string
	typ       *events.Type // of the command
	aggregate *events.AggregateType
	catalogue *events.Catalogue
	log       Log
	maxBytes  int
	metrics   *Metrics
	logger    *slog.Logger
}

func (d *decider) handle(ctx context.Context, e *events.Envelope) result {
	v, err := d.catalogue.DecodeData(*e)
	if err != nil {
		return fail(err)
	}
	cmd, ok := v.(events.Command)
	if !ok {
		return fail(events.Errorf(events.CodeUndecodable, "%s is not a command", e.Type))
	}
	if e.Type != d.typ.Name {
		return fail(events.Errorf(events.CodeUnknownType, "the handler %s decides %s, not %s", d.handler, d.typ.Name, e.Type))
	}
	e.Aggregate = d.typ.Aggregate
	var lacking error
	if deliveryOf(ctx).foreign {
		lacking = complete(d.typ, e)
	}
	if cmd, err = identify(cmd, d.typ, e.ID); err != nil {
		return fail(cmp.Or(lacking, err)) // Without an aggregate there is no place for an outcome.
	}
	e.AggregateID = cmd.AggregateID()
	given := deliveryOf(ctx)
	given.commandHash = commandHash(cmd)
	outcome, err := d.execute(ctx, e, cmd, lacking)
	var stored storeError
	switch {
	case errors.As(err, &stored):
		return abort(err)
	case err != nil:
		if ctx.Err() == nil {
			d.metrics.commands.WithLabelValues(e.Type, "failed").Inc()
		}
		return fail(err)
	}
	r, status := ack(outcomeHandled), outcome.Status
	if outcome.Repeated {
		if _, err := checkedOutcome(given.receipt(), outcome); err != nil && !given.executed {
			d.metrics.commands.WithLabelValues(e.Type, "failed").Inc()
			return fail(events.Permanent(err)) // Nobody waits: an operator has to see it.
		}
		r, status = ack(outcomeDuplicate), string(outcomeDuplicate)
	}
	r.decided = &outcome
	d.metrics.commands.WithLabelValues(e.Type, status).Inc()
	d.logger.LogAttrs(ctx, slog.LevelDebug, "command decided", slog.String("command", e.Type), slog.String("command_id", e.ID),
		slog.String("correlation_id", e.CorrelationID), slog.String("aggregate_id", e.AggregateID),
		slog.String("status", outcome.Status), slog.String("code", outcome.Code), slog.Uint64("version", outcome.Version))
	return r
}

// execute decides a command until its outcome is stored. One that lacks data is refused.
func (d *decider) execute(ctx context.Context, e *events.Envelope, cmd events.Command, lacking error) (events.Outcome, error) {
	if lacking != nil {
		return d.reject(ctx, e, lacking)
	}
	if v, ok := cmd.(events.Validator); ok {
		if err := v.Validate(); err != nil {
			return d.reject(ctx, e, err)
		}
	}
	// An aggregate that has its id from the command was made by it, or does not exist yet,
	// which is nearly always so: its history is not even loaded. If it does exist, the log
	// returns the stored outcome of the command, or refuses the append.
	fresh := isDerivedAggregate(e.AggregateID, e.Aggregate, e.ID)
	for conflicts := 0; ; conflicts++ {
		var history events.History
		var err error
		if !fresh {
			if history, err = d.log.Load(ctx, e.Aggregate, e.AggregateID, d.aggregate.StateSchema); err != nil {
				return events.Outcome{}, storeFailure(err)
			}
		}
		decided, err := d.decide(ctx, d.catalogue, cmd, history)
		if err != nil {
			if _, refused := events.AsRejection(err); refused && fresh {
				fresh = false // A refusal is stored without a check of the version, so it must be certain.
				continue
			}
			return d.reject(ctx, e, err)
		}
		if fresh && len(decided.data) == 0 {
			fresh = false // Nor is there a check without events.
			continue
		}
		a, err := d.request(e, history.Version(), decided.data)
		if err != nil {
			return d.reject(ctx, e, err)
		}
		outcome, err := d.append(ctx, a)
		if err == nil {
			d.snapshot(ctx, e, history, decided, d.aggregate.StateSchema)
			return outcome, nil
		}
		if events.CodeOf(err) != events.CodeConflict || conflicts == maxConflicts {
			return events.Outcome{}, storeFailure(err)
		}
		if fresh {
			fresh = false
			continue
		}
		d.metrics.conflicts.Inc()
		// A short, random pause lets one of the concurrent commands win.
		if !backoff.Wait(ctx, rand.N(time.Duration(conflicts+1)*2*time.Millisecond)) { //nolint:gosec // Spreading needs no secret randomness.
			return events.Outcome{}, ctx.Err()
		}
	}
}

// reject stores a refusal as the command's outcome, and returns any other error.
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
	a.Outcome.CommandHash = deliveryOf(ctx).commandHash
	started := time.Now()
	outcome, err := d.log.Append(ctx, a)
	d.metrics.append.Observe(time.Since(started).Seconds())
	return outcome, err
}

// request returns the write to the log that stores a decision.
func (d *decider) request(cmd *events.Envelope, version uint64, decided []events.Data) (events.AppendRequest, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	a := events.AppendRequest{Aggregate: cmd.Aggregate, AggregateID: cmd.AggregateID, ExpectedVersion: version}
	a.Outcome = events.Outcome{
		Status: events.StatusAccepted, Command: cmd.Type, CommandID: cmd.ID, CorrelationID: cmd.CorrelationID,
		Aggregate: cmd.Aggregate, AggregateID: cmd.AggregateID, Version: version + uint64(len(decided)), Events: []events.EventRef{},
	}
	for i, data := range decided {
		if isNil(data) {
			return a, d.nilEvent(i, len(decided), data)
		}
		t, ok := d.catalogue.Lookup(data.EventType())
		if !ok || t.Command || t.Aggregate != cmd.Aggregate {
			return a, events.Permanent(events.Errorf(events.CodeUnknownType,
				"%s decided %q, which is not an event of the aggregate %q; register it in its domain's Register", d.handler, data.EventType(), cmd.Aggregate))
		}
		if k, ok := data.(events.Keyed); ok && k.AggregateID() != cmd.AggregateID {
			return a, events.Permanent(events.Errorf(events.CodeInternal,
				"%s decided %s for %q while the command is for %q; an event belongs to its command's aggregate", d.handler, t.Name, k.AggregateID(), cmd.AggregateID))
		}
		body, err := json.Marshal(data)
		if err != nil {
			return a, events.Permanent(events.Errorf(events.CodeInternal, "%s cannot be written as JSON: %w", t.Name, err))
		}
		if string(body) == "null" { // A nil map, for instance: no log could give it back as data.
			return a, d.nilEvent(i, len(decided), data)
		}
		if n := len(body) + len(t.Name) + bodyOverhead; n > d.maxBytes { // Nobody could receive it from the log.
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

// nilEvent returns the error for an event that was decided and has no data. No attempt
// could store it.
func (d *decider) nilEvent(i, n int, data events.Data) error {
	what := "nil"
	if data != nil {
		what = fmt.Sprintf("a nil %T", data)
	}
	return events.Permanent(events.Errorf(events.CodeInternal,
		"handler %q decided event %d of %d that is %s; return only events that have data, and no events at all if nothing happens", d.handler, i+1, n, what))
}

// isNil reports whether v is nil or a nil pointer, on which no method can be called.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// snapshot stores the state that was just folded from many events. It is a cache: if
// that fails, the next load is slow, and nothing else.
func (d *decider) snapshot(ctx context.Context, e *events.Envelope, h events.History, decided decision, schema string) {
	if len(h.Events) < snapshotEvery {
		return
	}
	state, err := decided.state()
	if err == nil {
		// The command is decided, and whoever waits for it may have left.
		var cancel context.CancelFunc
		ctx, cancel = withGrace(ctx)
		defer cancel()
		last := h.Events[len(h.Events)-1]
		err = d.log.SaveSnapshot(ctx, e.Aggregate, e.AggregateID, events.Snapshot{Version: last.Version, Schema: schema, State: state, Position: last.Position})
	}
	if err != nil {
		d.logger.WarnContext(ctx, "snapshot not stored, loading stays slow", slog.String("aggregate", e.Aggregate),
			slog.String("aggregate_id", e.AggregateID), slog.Any("error", err))
	}
}

// storeError is a failure of the store. It does not count as an attempt: the command is
// given back until the store can be reached.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

// storeFailure marks an error of the store, unless trying again cannot help.
func storeFailure(err error) error {
	if err == nil || events.IsPermanent(err) {
		return err
	}
	return storeError{err}
}
