package router

import (
	"context"
	"errors"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// projectionRead is how many events of one partition are read at once, and
	// projectionStep how many of all partitions are applied in one transaction.
	projectionRead = 512
	projectionStep = 1000
)

// projector keeps one projection's rows up to date. Rows and cursor are written
// in one transaction that also checks the cursor, so every event is applied
// exactly once, whoever else is at it.
type projector struct {
	plan    *plan
	reader  LogReader
	views   ProjectionStore
	letters message.Publisher
	pulse   *pulse
	logger  *slog.Logger
}

func (p *projector) role() string { return "projection:" + p.plan.name }

// run applies events until ctx ends. It is called while this instance holds the role.
func (p *projector) run(ctx context.Context) error {
	p.pulse.keep(ctx, p.logger, p.role(), func(ctx context.Context) error {
		cursor, err := p.views.ProjectionCursor(ctx, p.plan.name)
		if err != nil {
			return err
		}
		cursor = cursor.Clone(p.reader.Partitions())
		err = follow(ctx, p.reader, cursor, projectionRead, func(batch []events.Recorded) error {
			if len(batch) == 0 {
				return p.stillAt(ctx, cursor)
			}
			for len(batch) > 0 {
				step := batch[:min(len(batch), projectionStep)]
				if err := p.step(ctx, step, &cursor); err != nil {
					return err
				}
				batch = batch[len(step):]
			}
			p.pulse.ok()
			return nil
		})
		if events.CodeOf(err) == events.CodeCursorMoved {
			return nil // No trouble: the projection goes on from where it has been put.
		}
		return err
	})
	return nil
}

// stillAt looks, while there is no news, whether the projection still stands where
// this instance has left it. It does not if somebody dropped its rows, to have
// them built again.
func (p *projector) stillAt(ctx context.Context, cursor events.Cursor) error {
	at, err := p.views.ProjectionCursor(ctx, p.plan.name)
	if err != nil {
		return err
	}
	if at.Behind(cursor)+cursor.Behind(at) > 0 {
		return events.Errorf(events.CodeCursorMoved, "the projection %s was moved", p.plan.name)
	}
	p.pulse.ok()
	return nil
}

// step applies some events in one transaction. An event that cannot be applied
// ends the step before it; at the head of a step it is tried again and again, and
// holds the projection up, unless it is beyond hope: then it is set aside.
func (p *projector) step(ctx context.Context, batch []events.Recorded, cursor *events.Cursor) error {
	ctx, cancel := finishing(ctx)
	defer cancel()
	commit, done, err := p.prepare(ctx, batch, *cursor)
	if err != nil {
		return err
	}
	if err := p.views.Commit(ctx, commit); err != nil {
		return err
	}
	*cursor = commit.To
	if done < len(batch) {
		return p.step(ctx, batch[done:], cursor)
	}
	return nil
}

// prepare works out the commit of as many events as can be applied at once, and
// returns how many these are, one at least.
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
		// applied again, to fresh rows. They are plain functions: they succeed again.
		commit, err = p.apply(ctx, batch[:failed.index], from)
		return commit, failed.index, err
	case !events.IsPermanent(err):
		return commit, 0, err
	}
	err = p.setAside(ctx, batch[0], failed.error)
	return events.ProjectionCommit{Projection: p.plan.name, From: from, To: advanced(from, batch[:1])}, 1, err
}

// eventError says which event of a batch cannot be applied, and why.
type eventError struct {
	index int
	error
}

func (e *eventError) Unwrap() error { return e.error }

// apply works out what events change. If one of them fails, the error is an
// [eventError].
func (p *projector) apply(ctx context.Context, batch []events.Recorded, from events.Cursor) (events.ProjectionCommit, error) {
	commit := events.ProjectionCommit{Projection: p.plan.name, From: from, To: advanced(from, batch)}
	keys := make([]string, len(batch))
	var distinct []string
	rows := map[string]*viewRow{}
	for i := range batch {
		c, ok := p.plan.project.cases[batch[i].Type]
		if !ok {
			continue
		}
		var key string
		err := guarded(p.role(), func() (err error) {
			key, err = c.key(p.plan.byName[c.typ], &batch[i].Envelope)
			return err
		})
		if err != nil {
			return commit, &eventError{i, err}
		}
		keys[i] = key
		if key != "" && rows[key] == nil {
			rows[key] = &viewRow{}
			distinct = append(distinct, key)
		}
	}
	if len(distinct) == 0 {
		return commit, nil
	}
	texts, err := p.views.Rows(ctx, p.plan.name, distinct)
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
		c := p.plan.project.cases[batch[i].Type]
		err := guarded(p.role(), func() error { return rows[keys[i]].apply(c, p.plan.byName[c.typ], &batch[i].Envelope) })
		if err != nil {
			return commit, &eventError{i, err}
		}
	}
	codec := p.plan.project.codec()
	for _, key := range distinct {
		row := rows[key]
		if row.value == nil {
			if row.text != nil {
				commit.Delete = append(commit.Delete, key)
			}
			continue
		}
		var text []byte
		err := guarded(p.role(), func() (err error) {
			text, err = codec.encode(row.value)
			return err
		})
		if err != nil {
			return commit, events.Errorf(events.CodeInternal, "the row %s of %s cannot be written as JSON: %w", key, p.plan.name, err)
		}
		commit.Put = append(commit.Put, events.Row{Key: key, Data: text})
	}
	return commit, nil
}

// setAside puts an event into the projection's poison queue, whole.
func (p *projector) setAside(ctx context.Context, e events.Recorded, cause error) error {
	msg, err := envelopeCodec{}.Marshal(&e.Envelope)
	if err != nil {
		return err
	}
	c := &consumer{plan: p.plan, letters: p.letters, logger: p.logger}
	d := &delivery{Context: ctx, handler: c, envelope: e.Envelope, attempts: 1}
	if err := c.setAside(d, msg, cause); err != nil {
		return err
	}
	p.logger.ErrorContext(ctx, "event poisoned, the projection goes on without it", c.attrs(d,
		slog.String("queue", events.PoisonQueue(p.plan.policy.Queue)), slog.String("error", bounded(cause.Error(), maxReason)))...)
	return nil
}

// viewRow is one row while a step works on it.
type viewRow struct {
	text  []byte // as stored; nil if there was none
	value any    // as it is now; nil if untouched or deleted
	read  bool
}

func (r *viewRow) apply(c ProjectionCase, t *events.Type, e *events.Envelope) error {
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

// codec is the row codec that all cases share.
func (s *projectionSpec) codec() rowCodec {
	for _, c := range s.cases {
		return c.codec
	}
	return rowCodec{}
}

// advanced returns the cursor behind the given events.
func advanced(from events.Cursor, batch []events.Recorded) events.Cursor {
	to := from.Clone(0)
	advance(to, batch)
	return to
}
