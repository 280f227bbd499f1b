package cli

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
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
			return output.List(c.printer(), views, output.Columns[eventView]{
				Heads: []string{"version", "timestamp", "type", "data", "correlation id", "causation id"},
				Row: func(e eventView) []any {
					return []any{e.Version, e.Timestamp, e.Type, string(e.Data), e.CorrelationID, e.CausationID}
				},
				Key: func(e eventView) string { return e.ID },
			})
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
				return events.Errorf(events.CodeNotFound, "the aggregate %q has no state here, only events", a.Name).
					WithHint("`%s aggregate history %s %s` prints them", program(), a.Name, shellWord(args[1]))
			}
			folded, err := a.Fold(c.Catalogue, events.History{Events: h})
			if err != nil {
				return err
			}
			last := h[len(h)-1]
			view := stateView{a.Name, args[1], last.Version, last.Timestamp.UTC().Format(events.TimeLayout), folded}
			return output.One(c.printer(), view)
		},
	}
	c.listFlags(history.Flags(), "ids of the events")
	for _, cmd := range []*cobra.Command{history, state} {
		cmd.Args = input.Exactly("the aggregate's type", "its id")
		cmd.ValidArgsFunction = input.Words(c.Catalogue.Aggregates()...)
		cmd.Flags().StringVar(&at, "at", "", "as it was at a version (3), at a time (2026-01-31T12:00:00Z), or some time ago (10m, 1d12h)")
	}
	return input.Group("aggregate", "One aggregate: its history and state", history, state)
}

// history loads an aggregate's events up to a point; there is at least one.
func (c *cli) history(ctx context.Context, name, id, at string) (*events.AggregateType, []events.Recorded, error) {
	a, ok := c.Catalogue.LookupAggregate(name)
	if !ok {
		return nil, nil, input.NotFound("aggregate type", name, c.Catalogue.Aggregates())
	}
	until, err := input.ParsePoint("--at", at, time.Now())
	if err != nil {
		return nil, nil, err
	}
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return nil, nil, err
	}
	// No snapshot has the empty schema, so that the whole history is loaded.
	h, err := client.Store.Load(ctx, name, id, "")
	if err != nil {
		return nil, nil, err
	}
	if len(h.Events) == 0 {
		return nil, nil, events.Errorf(events.CodeNotFound, "there is no %s %s", name, id).
			WithHint("`%s event list --aggregate %s` shows which there are; another namespace or Redis has others", program(), name)
	}
	if until.Version > h.Version() {
		return nil, nil, events.Errorf(events.CodeNotFound, "the %s %s has %d versions, not %d", name, id, h.Version(), until.Version).
			WithHint("leave out --at for the last one")
	}
	n := len(h.Events)
	for n > 0 && !until.Includes(h.Events[n-1]) {
		n--
	}
	if n == 0 {
		return nil, nil, events.Errorf(events.CodeNotFound, "the %s %s did not exist at %s", name, id, at).
			WithHint("its first event is of %s", h.Events[0].Timestamp.UTC().Format(events.TimeLayout))
	}
	return a, h.Events[:n], nil
}
