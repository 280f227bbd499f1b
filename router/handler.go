package router

import (
	"reflect"

	"github.com/pitwheel/pitwheel/events"
)

// Kind is the kind of a handler.
type Kind string

// The three kinds of handlers, made with [Decide], [On] and [Project].
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
	policy Policy
	// declared is a *command, a *reaction or a *projection.
	declared declaration
	// err is what is wrong with the declaration itself; New reports it.
	err error
}

// Name returns the handler's name, unique in an application.
func (h Handler) Name() string { return h.name }

// Kind returns the handler's kind; it is empty for a zero Handler.
func (h Handler) Kind() Kind {
	if h.declared == nil {
		return ""
	}
	return h.declared.kind()
}

// declaration is what the three kinds of handlers have in common.
type declaration interface {
	kind() Kind
	// consumes returns the types that the handler receives.
	consumes() []dataType
}

// dataType is a Go type and the wire name that it has.
type dataType struct {
	name string
	typ  reflect.Type
}

// declare makes the handler of a declaration. At most one policy may be given. A type that
// cannot be declared is given as err.
func declare(name string, d declaration, err error, hasFunction bool, policy []Policy) Handler {
	h := Handler{name: name, declared: d, err: err}
	switch {
	case err != nil:
	case !hasFunction:
		h.err = events.Errorf(events.CodeConfig, "it has no function")
	case len(policy) > 1:
		h.err = events.Errorf(events.CodeConfig, "it has %d policies; give at most one", len(policy))
	case len(policy) == 1:
		h.policy = policy[0]
	}
	return h
}
