package router

import (
	"context"
	"reflect"

	"github.com/pitwheel/pitwheel/events"
)

// On declares a reaction: f is called for every event of type E, at least once, in the
// order of each aggregate. Event.ID is the same each time, and is the key to dedupe an
// outside effect on.
//
// A nil error acknowledges the event. After [events.Permanent] or [events.Reject] it
// goes to the poison queue; [events.RetryAfter] says when to try again; after any other
// error it is tried again as the policy says. At most one policy may be given.
func On[E events.Data](name string, f func(context.Context, Event[E]) error, policy ...Policy) Handler {
	event, err := events.EventName[E]()
	return declare(name, &reaction{
		event: dataType{event, reflect.TypeFor[E]()},
		react: func(ctx context.Context, t *events.Type, e *events.Envelope) error {
			event := Event[E]{Header: e.Header}
			if err := t.Decode(e, &event.Data); err != nil {
				return err
			}
			return f(ctx, event)
		},
	}, err, f != nil, policy)
}

// reaction is what [On] declares, with its type erased.
type reaction struct {
	event dataType
	react func(ctx context.Context, t *events.Type, e *events.Envelope) error
}

func (r *reaction) kind() Kind           { return KindReaction }
func (r *reaction) consumes() []dataType { return []dataType{r.event} }

// reactor handles the events of a reaction.
type reactor struct {
	*reaction
	handler string
	typ     *events.Type
}

func (r *reactor) handle(ctx context.Context, e *events.Envelope) result {
	if e.Type != r.event.name {
		return fail(events.Errorf(events.CodeUnknownType, "the handler %s reacts to %s, not to %q", r.handler, r.event.name, e.Type))
	}
	if err := r.react(ctx, r.typ, e); err != nil {
		return fail(err)
	}
	return ack(outcomeHandled)
}
