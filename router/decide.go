package router

import (
	"context"
	"errors"
	"reflect"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// Decide declares the handler of the command type C on an aggregate whose state is S:
// f receives the current state, and returns the events that happen, or a refusal made
// with [events.Reject] or [events.Invalid]. It must be a plain function of its
// arguments: it is called again if another command has changed the aggregate meanwhile.
//
// A command type has one handler. At most one policy may be given.
func Decide[C events.Command, S events.State[S]](name string, f func(context.Context, C, S) ([]events.Data, error), policy ...Policy) Handler {
	wireName, err := events.CommandName[C]()
	err = errors.Join(err, events.CheckState[S]())
	return declare(name, &command{
		command: dataType{wireName, reflect.TypeFor[C]()},
		state:   reflect.TypeFor[S](),
		decide: func(ctx context.Context, c *events.Catalogue, cmd events.Command, history events.History) (decision, error) {
			state, err := events.Fold[S](c, history)
			if err != nil {
				return decision{}, err
			}
			typed, ok := cmd.(C)
			if !ok {
				return decision{}, events.Errorf(events.CodeInternal, "the command %s is a %T, not a %s", wireName, cmd, reflect.TypeFor[C]())
			}
			data, err := f(ctx, typed, state)
			return decision{data: data, state: func() ([]byte, error) { return json.Marshal(state) }}, err
		},
	}, err, f != nil, policy)
}

// command is what [Decide] declares, with its types erased.
type command struct {
	command dataType
	state   reflect.Type
	decide  func(context.Context, *events.Catalogue, events.Command, events.History) (decision, error)
}

func (c *command) kind() Kind           { return KindCommand }
func (c *command) consumes() []dataType { return []dataType{c.command} }

// decision is what a command's handler returned, and the state that it received.
type decision struct {
	data  []events.Data
	state func() ([]byte, error)
}
