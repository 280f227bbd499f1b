package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
)

// eventView is an event as it is printed. Its names are part of the contract.
type eventView struct {
	ID            string          `json:"id"`
	Type          string          `json:"type"`
	Version       uint64          `json:"version"`
	Timestamp     string          `json:"timestamp"`
	Data          json.RawMessage `json:"data"`
	CorrelationID string          `json:"correlation_id"`
	CausationID   string          `json:"causation_id"`
}

func viewOfEvent(e events.Recorded) eventView {
	return eventView{
		ID: e.ID, Type: e.Type, Version: e.Version, Timestamp: e.Timestamp.UTC().Format(events.TimeLayout),
		Data: e.Data, CorrelationID: e.CorrelationID, CausationID: e.CausationID,
	}
}

// stateView is an aggregate's state at a version.
type stateView struct {
	Aggregate   string `json:"aggregate"`
	AggregateID string `json:"aggregate_id"`
	Version     uint64 `json:"version"`
	UpdatedAt   string `json:"updated_at"`
	State       any    `json:"state"`
}

func (c *cli) aggregate() *cobra.Command {
	var at string
	history := &cobra.Command{
		Use: "history TYPE ID", Short: "Print the events of one aggregate, its audit trail",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, h, err := c.history(cmd.Context(), args[0], args[1], at)
			if err != nil {
				return err
			}
			views := make([]eventView, len(h))
			for i, e := range h {
				views[i] = viewOfEvent(e)
			}
			return printList(c.printer(), views,
				column[eventView]{"version", func(e eventView) string { return fmt.Sprint(e.Version) }},
				column[eventView]{"timestamp", func(e eventView) string { return e.Timestamp }},
				column[eventView]{"type", func(e eventView) string { return e.Type }},
				column[eventView]{"data", func(e eventView) string { return string(e.Data) }},
				column[eventView]{"correlation id", func(e eventView) string { return e.CorrelationID }},
				column[eventView]{"causation id", func(e eventView) string { return e.CausationID }})
		},
	}
	state := &cobra.Command{
		Use: "state TYPE ID", Short: "Print its state, folded from that history",
		RunE: func(cmd *cobra.Command, args []string) error {
			a, h, err := c.history(cmd.Context(), args[0], args[1], at)
			if err != nil {
				return err
			}
			if a.Fold == nil {
				return events.Errorf(events.CodeNotFound, "the aggregate %q has no state here, only events", a.Name)
			}
			folded, err := a.Fold(c.catalogue, events.History{Events: h})
			if err != nil {
				return err
			}
			last := h[len(h)-1]
			view := stateView{a.Name, args[1], last.Version, last.Timestamp.UTC().Format(events.TimeLayout), folded}
			return printOne(c.printer(), view)
		},
	}
	for _, cmd := range []*cobra.Command{history, state} {
		cmd.Args = exactly("the aggregate's type", "its id")
		cmd.ValidArgsFunction = words(c.catalogue.Aggregates()...)
		cmd.Flags().StringVar(&at, "at", "", "as it was at a version (3), at a time (2026-01-31T12:00:00Z), or some time ago (10m)")
	}
	return group("aggregate", "One aggregate: its history and state", history, state)
}

// history loads an aggregate's events up to a point; there is at least one.
func (c *cli) history(ctx context.Context, name, id, at string) (*events.AggregateType, []events.Recorded, error) {
	a, ok := c.catalogue.LookupAggregate(name)
	if !ok {
		return nil, nil, notFound("aggregate type", name, c.catalogue.Aggregates())
	}
	var until point
	if at != "" {
		var err error
		if until, err = parsePoint("--at", at, time.Now()); err != nil {
			return nil, nil, err
		}
	}
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	// No snapshot has the empty schema, so that the whole history is loaded.
	h, err := client.store.Load(ctx, name, id, "")
	if err != nil {
		return nil, nil, err
	}
	if len(h.Events) == 0 {
		return nil, nil, events.Errorf(events.CodeNotFound, "there is no %s %s", name, id)
	}
	if until.version > h.Version() {
		return nil, nil, events.Errorf(events.CodeNotFound, "the %s %s has %d versions, not %d", name, id, h.Version(), until.version)
	}
	n := len(h.Events)
	for n > 0 && !until.includes(h.Events[n-1]) {
		n--
	}
	if n == 0 {
		return nil, nil, events.Errorf(events.CodeNotFound, "the %s %s did not exist at %s", name, id, at)
	}
	return a, h.Events[:n], nil
}

// includes reports whether an event had happened at the point.
func (p point) includes(e events.Recorded) bool {
	switch {
	case p.version > 0:
		return e.Version <= p.version
	case !p.at.IsZero():
		return !e.Timestamp.After(p.at)
	}
	return true
}
