package router

import (
	"context"
	"errors"
	"log/slog"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/catchup"
	"github.com/pitwheel/pitwheel/router/internal/codec"
	"github.com/pitwheel/pitwheel/router/internal/health"
	"github.com/pitwheel/pitwheel/router/internal/panics"
	"github.com/pitwheel/pitwheel/router/internal/text"
	"github.com/pitwheel/pitwheel/router/poison"
)

const (
	// projectionRead is how many events of one partition are read at once, and
	// projectionStep how many of all partitions are applied in one transaction.
	projectionRead = 512
	projectionStep = 1000
)

// projector keeps the rows of one projection up to date. Rows and cursor are written in
// one transaction that checks the cursor, too, so that each event is applied exactly
// once, whichever instances try to.
type projector struct {
	*projection
	name        string
	types       map[string]*events.Type // by wire name
	reader      LogReader
	store       ProjectionStore
	poisonQueue poisonQueue
	health      health.Health
	logger      *slog.Logger

	// What follows is that of the role while this instance holds it.
	token, epoch string
	cursor       events.Cursor
}

func (p *projector) role() string { return "projection:" + p.name }

// run applies events until ctx ends. It is called while this instance holds the role, and
// returns an error if it has got nowhere for 5 s, so that another instance can try.
func (p *projector) run(ctx context.Context) error {
	return p.health.Run(ctx, p.logger, p.role(), func(ctx context.Context) error {
		err := p.open(ctx)
		if err == nil {
			err = catchup.Subscription{
				Reader: p.reader, From: p.cursor, Limit: projectionRead,
				Apply: func(batch []events.Recorded) error { return p.applyAll(ctx, batch) },
				Broken: func(partition int, err error) {
					p.health.ReportPart(p.logger, p.role(), catchup.PartitionName(partition), err)
				},
			}.Run(ctx)
		}
		if events.CodeOf(err) == events.CodeCursorMoved {
			return nil // Not a failure: the projection continues from the cursor that was set.
		}
		return err
	})
}

// open takes over the projection, and checks its cursor against the log.
//
// If the log has lost events that the rows contain, the rows are wrong and only rebuilding
// them helps. That is not done here: the rows may be all that is left of these events,
// and until somebody decides, rows that have all that comes are worth more than rows that
// stay as they are. So the projection goes on, and readiness asks for a rebuild.
func (p *projector) open(ctx context.Context) error {
	p.token = events.NewID()
	state, err := p.store.OpenProjection(ctx, p.name, p.token)
	if err != nil {
		return err
	}
	var end events.Cursor
	if p.epoch, end, err = catchup.Where(ctx, p.reader); err != nil {
		return err
	}
	cursor, why := state.ResumeAt(p.epoch, end)
	p.cursor = cursor.Clone(p.reader.Partitions())
	rebuild := state.Rebuild
	if why != "" {
		p.logger.ErrorContext(ctx, "the log has lost events that the rows of a projection contain", slog.String("projection", p.name), slog.String("error", why),
			slog.Any("cursor", state.Cursor), slog.String("cursor_epoch", state.Epoch), slog.Any("end", end), slog.String("epoch", p.epoch))
		rebuild = why
		if err := p.store.Commit(ctx, p.commit(state.Cursor, p.cursor, why)); err != nil {
			return err
		}
	}
	if rebuild != "" {
		p.health.SetPart("rebuild", events.Errorf(events.CodeInternal, "the rows of the projection %s contain events that the log has lost (%s); it must be rebuilt: projection rebuild %s", p.name, rebuild, p.name).
			WithHint("run `projection rebuild %s`", p.name))
	}
	return nil
}

func (p *projector) commit(from, to events.Cursor, rebuild string) events.ProjectionCommit {
	return events.ProjectionCommit{Projection: p.name, Token: p.token, Epoch: p.epoch, From: from, To: to, Rebuild: rebuild}
}

// applyAll applies a batch of events in steps.
func (p *projector) applyAll(ctx context.Context, batch []events.Recorded) error {
	if len(batch) == 0 {
		return p.checkCursor(ctx)
	}
	for len(batch) > 0 {
		step := batch[:min(len(batch), projectionStep)]
		if err := p.step(ctx, step); err != nil {
			return err
		}
		batch = batch[len(step):]
	}
	p.health.OK()
	return nil
}

// checkCursor checks, while there are no new events, that the stored cursor is the one
// that this instance has written, and the log the one that it has read. They are not if
// the rows were dropped in order to rebuild them, or the log was lost.
func (p *projector) checkCursor(ctx context.Context) error {
	at, err := p.store.ProjectionCursor(ctx, p.name)
	if err != nil {
		return err
	}
	if at.Behind(p.cursor)+p.cursor.Behind(at) > 0 {
		return events.Errorf(events.CodeCursorMoved, "the projection %s was moved", p.name)
	}
	if err := catchup.Check(ctx, p.reader, events.Checkpoint{Cursor: p.cursor, Epoch: p.epoch}); err != nil {
		return err
	}
	p.health.OK()
	return nil
}

// step applies events in one transaction. An event that cannot be applied ends the step
// before it. At the beginning of a step it is tried again and again, and holds up the
// projection; if trying again cannot help, it goes to the poison queue.
func (p *projector) step(ctx context.Context, batch []events.Recorded) error {
	ctx, cancel := catchup.Grace(ctx)
	defer cancel()
	commit, done, err := p.prepare(ctx, batch, p.cursor)
	if err != nil {
		return err
	}
	if err := p.store.Commit(ctx, commit); err != nil {
		return err
	}
	p.cursor = commit.To
	if done < len(batch) {
		return p.step(ctx, batch[done:])
	}
	return nil
}

// prepare returns the commit of as many events as can be applied at once, and how many
// these are, at least one.
func (p *projector) prepare(ctx context.Context, batch []events.Recorded, from events.Cursor) (events.ProjectionCommit, int, error) {
	commit, err := p.apply(ctx, batch, from)
	var failed *eventError
	switch {
	case err == nil:
		return commit, len(batch), nil
	case !errors.As(err, &failed):
		return commit, 0, err
	case failed.index > 0:
		// A case may have changed a row before it failed, so the events before it are
		// applied again, to fresh rows. Cases are plain functions: they succeed again.
		commit, err = p.apply(ctx, batch[:failed.index], from)
		return commit, failed.index, err
	case !events.IsPermanent(err):
		return commit, 0, err
	}
	err = p.poison(ctx, batch[0], failed.error)
	return p.commit(from, catchup.Advanced(from, batch[:1]), ""), 1, err
}

// eventError is why an event of a batch cannot be applied.
type eventError struct {
	index int
	error
}

func (e *eventError) Unwrap() error { return e.error }

// apply returns the changes of a batch of events. If one of them fails, the error is an
// [eventError].
func (p *projector) apply(ctx context.Context, batch []events.Recorded, from events.Cursor) (events.ProjectionCommit, error) {
	commit := p.commit(from, catchup.Advanced(from, batch), "")
	keys := make([]string, len(batch))
	var distinct []string
	rows := map[string]*projectionRow{}
	for i := range batch {
		c, ok := p.cases[batch[i].Type]
		if !ok {
			continue
		}
		var key string
		err := panics.Guard(p.role(), func() (err error) {
			key, err = c.key(p.types[c.event.name], &batch[i].Envelope)
			return err
		})
		if err != nil {
			return commit, &eventError{i, err}
		}
		keys[i] = key
		if key != "" && rows[key] == nil {
			rows[key] = &projectionRow{}
			distinct = append(distinct, key)
		}
	}
	if len(distinct) == 0 {
		return commit, nil
	}
	texts, err := p.store.Rows(ctx, p.name, distinct)
	if err != nil {
		return commit, err
	}
	for i, key := range distinct {
		rows[key].text = texts[i]
	}
	for i := range batch {
		if keys[i] == "" {
			continue
		}
		c := p.cases[batch[i].Type]
		err := panics.Guard(p.role(), func() error { return rows[keys[i]].apply(c, p.types[c.event.name], &batch[i].Envelope) })
		if err != nil {
			return commit, &eventError{i, err}
		}
	}
	for _, key := range distinct {
		row := rows[key]
		if row.value == nil {
			if row.text != nil {
				commit.Delete = append(commit.Delete, key)
			}
			continue
		}
		var text []byte
		err := panics.Guard(p.role(), func() (err error) {
			text, err = p.codec.encode(row.value)
			return err
		})
		if err != nil {
			return commit, events.Errorf(events.CodeInternal, "the row %s of %s cannot be written as JSON: %w", key, p.name, err)
		}
		commit.Put = append(commit.Put, events.Row{Key: key, Data: text})
	}
	return commit, nil
}

// poison sends an event to the projection's poison queue, whole.
func (p *projector) poison(ctx context.Context, e events.Recorded, cause error) error {
	sending, cancel := context.WithTimeout(ctx, poisonTimeout) // A step has a grace period of its own.
	defer cancel()
	if err := p.poisonQueue.send(sending, codec.EncodeRecorded(&e, p.epoch), failure{err: cause, attempts: 1}); err != nil {
		return err
	}
	d := &delivery{handler: p.name, envelope: e.Envelope}
	p.logger.ErrorContext(ctx, "event sent to the poison queue, the projection goes on without it", d.attrs(
		slog.String(poison.LogKey, poison.ID(p.name, d.envelope.ID)), slog.String("queue", p.poisonQueue.name()), slog.String("error", text.Cut(cause.Error(), maxReason)))...)
	return nil
}

// projectionRow is one row within a step.
type projectionRow struct {
	text  []byte // as stored; nil if there was none
	value any    // as it is now; nil if untouched or deleted
	read  bool
}

func (r *projectionRow) apply(c ProjectionCase, t *events.Type, e *events.Envelope) error {
	if r.value == nil {
		text := r.text
		if r.read {
			text = nil // It was deleted within this step.
		}
		value, err := c.codec.decode(text)
		if err != nil {
			return events.Errorf(events.CodeUndecodable, "the stored row does not fit its type, rebuild the projection: %w", err)
		}
		r.value, r.read = value, true
	}
	err := c.apply(r.value, t, e)
	if err == ErrDeleteRow { //nolint:errorlint // The sentinel is returned as it is, never wrapped.
		r.value = nil
		return nil
	}
	return err
}
