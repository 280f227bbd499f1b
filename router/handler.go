package router

import (
	"context"
	"errors"
	"reflect"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// Kind is what sort of handler one is.
type Kind string

// The three kinds.
const (
	KindCommand    Kind = "command"
	KindReaction   Kind = "reaction"
	KindProjection Kind = "projection"
)

// Event is an event as a handler sees it: its header and its typed data.
type Event[E events.Data] struct {
	events.Header
	Data E
}

// Handler is one declaration. Make it with [On], [Decide] or [Project].
type Handler struct {
	name   string
	kind   Kind
	policy Policy
	// consumes are the Go types whose wire names the handler receives.
	consumes []reflect.Type
	types    []string
	// state is the Go type of the aggregate's state, for a command handler.
	state reflect.Type
	// Exactly one of the following is set, by kind.
	react   func(ctx context.Context, e *events.Envelope, t *events.Type) error
	decide  decideFunc
	project *projectionSpec
	// err is what the declaration itself got wrong; New reports it.
	err error
}

// Name is the handler's name, unique in an application.
func (h Handler) Name() string { return h.name }

// Kind is what sort of handler it is.
func (h Handler) Kind() Kind { return h.kind }

// On declares a reaction: f is called for every event of type E, at least once,
// in the order of each aggregate. Event.ID is the same each time and is the key
// to dedupe an outside effect on. A nil error acknowledges the event; see
// [events.Permanent] and [events.RetryAfter] for other verdicts.
//
// At most one policy may be given.
func On[E events.Data](name string, f func(context.Context, Event[E]) error, policy ...Policy) Handler {
	var zero E
	h := declare(name, KindReaction, policy, f == nil)
	h.consume(reflect.TypeFor[E](), zero.EventType())
	h.react = func(ctx context.Context, e *events.Envelope, t *events.Type) error {
		event := Event[E]{Header: e.Header}
		if err := decodeTo(t, e, &event.Data); err != nil {
			return err
		}
		return f(ctx, event)
	}
	return h
}

// Decide declares the handler of the command type C on an aggregate whose state
// is S: f sees the state as it is now and answers with the events that shall
// happen, or with a refusal made by [events.Reject] or [events.Invalid]. It must
// be a plain function of its arguments: it is called again if the aggregate
// moved on meanwhile.
func Decide[C events.Command, S events.State[S]](name string, f func(context.Context, C, S) ([]events.Data, error), policy ...Policy) Handler {
	var zero C
	h := declare(name, KindCommand, policy, f == nil)
	h.consume(reflect.TypeFor[C](), zero.CommandType())
	h.state = reflect.TypeFor[S]()
	h.decide = func(ctx context.Context, c *events.Catalogue, cmd events.Command, history events.History) (decision, error) {
		state, err := events.Fold[S](c, history)
		if err != nil {
			return decision{}, err
		}
		typed, ok := cmd.(C)
		if !ok {
			return decision{}, events.Errorf(events.CodeInternal, "the command %s is a %T, not a %s", zero.CommandType(), cmd, reflect.TypeFor[C]())
		}
		data, err := f(ctx, typed, state)
		return decision{data: data, state: func() ([]byte, error) { return json.Marshal(state) }}, err
	}
	return h
}

// Project declares a read model: rows that its cases keep up to date from the
// log, each event exactly once. All cases share one row type.
func Project(name string, cases ...ProjectionCase) Handler {
	h := declare(name, KindProjection, nil, false)
	h.project = &projectionSpec{cases: map[string]ProjectionCase{}}
	if len(cases) == 0 {
		h.err = errors.Join(h.err, events.Errorf(events.CodeConfig, "it has no cases; give it at least one router.Case"))
	}
	for _, c := range cases {
		if c.apply == nil {
			h.err = errors.Join(h.err, events.Errorf(events.CodeConfig, "a case has no function; make cases with router.Case"))
			continue
		}
		if _, ok := h.project.cases[c.typ]; ok {
			h.err = errors.Join(h.err, events.Errorf(events.CodeConfig, "it has two cases for %s", c.typ))
		}
		if first := cases[0].row; first != c.row {
			h.err = errors.Join(h.err, events.Errorf(events.CodeConfig, "its cases have different row types, %s and %s", first, c.row))
		}
		h.project.cases[c.typ] = c
		h.consume(c.data, c.typ)
	}
	return h
}

// declare makes the part that all kinds have in common.
func declare(name string, kind Kind, policy []Policy, missing bool) Handler {
	h := Handler{name: name, kind: kind}
	switch {
	case missing:
		h.err = events.Errorf(events.CodeConfig, "it has no function")
	case len(policy) > 1:
		h.err = events.Errorf(events.CodeConfig, "it has %d policies; give at most one", len(policy))
	case len(policy) == 1:
		h.policy = policy[0]
	}
	return h
}

func (h *Handler) consume(t reflect.Type, wire string) {
	h.consumes = append(h.consumes, t)
	h.types = append(h.types, wire)
}

// decodeTo reads an envelope's data into D, brought up to the current schema.
func decodeTo[D any](t *events.Type, e *events.Envelope, data *D) error {
	raw, err := t.Current(e.SchemaVersion, e.Data)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, data); err != nil {
		return events.Errorf(events.CodeUndecodable, "the data of %s %s does not fit its type: %w", e.Type, e.ID, err)
	}
	return nil
}
