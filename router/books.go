package router

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/audit"
)

// OpenEvent is an event that a reaction has neither handled nor discarded.
type OpenEvent struct {
	events.Recorded
	// Place is where it is: one of the kinds of [events.Place], "unpublished" before the relay
	// has published it, or "waiting": in the handler's queue, or being handled.
	Place string
}

// Books returns the books of a reaction as they are now, and up to list of the events that
// are open, or only those that are missing. The router need not run. An error has the code
// NOT_FOUND for a handler that is not a declared reaction, or whose ledger has not begun.
func (r *Router) Books(ctx context.Context, handler string, list int, onlyMissing bool) (events.LedgerReport, []OpenEvent, error) {
	for _, p := range r.reactions {
		if p.name != handler {
			continue
		}
		look, err := r.auditor.Look(ctx, audit.Handler{Name: p.name, Queue: p.policy.Queue, Topic: p.topic}, list, onlyMissing)
		if err != nil {
			return events.LedgerReport{}, nil, err
		}
		var open []OpenEvent
		for _, o := range look.Open {
			place := string(o.Kind)
			switch {
			case place == "" && o.Unpublished:
				place = "unpublished"
			case place == "" || o.Kind == events.PlaceQueued:
				place = "waiting"
			}
			open = append(open, OpenEvent{o.Event, place})
		}
		return look.Report, open, nil
	}
	return events.LedgerReport{}, nil, events.Errorf(events.CodeNotFound, "%q is not a reaction of this application; only reactions have a ledger", handler)
}
