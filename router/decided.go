package router

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
)

// Decided returns the stored outcome of a command that was sent under an id before, and
// reports whether there is one. Asked before [Commands.Send], it shows whether the command
// is going to be replayed.
func (c *Commands) Decided(ctx context.Context, cmd events.Command, id string) (events.Outcome, bool, error) {
	t, ok := c.catalogue.Lookup(cmd.CommandType())
	if !ok {
		return events.Outcome{}, false, events.Errorf(events.CodeUnknownType, "the command %q is not in the catalogue", cmd.CommandType())
	}
	id = events.NormalizeID(id)
	cmd, err := identify(cmd, t, id)
	if err != nil {
		return events.Outcome{}, false, err
	}
	return c.log.Outcome(ctx, t.Aggregate, cmd.AggregateID(), id)
}
