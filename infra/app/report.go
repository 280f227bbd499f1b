package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// reportingLog reports each command that ends.
type reportingLog struct {
	router.Log
	report func(what, text string)
}

// Append appends and reports what came of it.
func (l reportingLog) Append(ctx context.Context, a events.AppendRequest) (events.Outcome, error) {
	o, err := l.Log.Append(ctx, a)
	switch {
	case err != nil:
	case o.Status == events.StatusRejected:
		l.report("rejected", fmt.Sprintf("%s %s  %s: %s", o.Aggregate, o.AggregateID, o.Code, o.Message))
	case len(a.Events) == 0 || len(o.Events) == 0 || a.Events[0].ID != o.Events[0].ID:
		l.report("accepted", fmt.Sprintf("%s %s  version %d, nothing new", o.Aggregate, o.AggregateID, o.Version))
	default:
		for _, e := range a.Events {
			l.report("event", fmt.Sprintf("%s v%d  %s %s  %s", e.Type, e.Version, e.Aggregate, e.AggregateID, e.Data))
		}
	}
	return o, err
}

// reportingProjections reports each row that changes.
type reportingProjections struct {
	router.ProjectionStore
	report func(what, text string)
}

// Commit commits and reports the rows.
func (p reportingProjections) Commit(ctx context.Context, c events.ProjectionCommit) error {
	err := p.ProjectionStore.Commit(ctx, c)
	if err == nil {
		for _, r := range c.Put {
			p.report("row", fmt.Sprintf("%s  %s", c.Projection, r.Key))
		}
		for _, key := range c.Delete {
			p.report("no row", fmt.Sprintf("%s  %s", c.Projection, key))
		}
	}
	return err
}

// reportingPoison reports each poison message.
type reportingPoison struct {
	router.PoisonStore
	options Options
}

// StorePoison stores and reports the message, and how to look at it.
func (p reportingPoison) StorePoison(ctx context.Context, m poison.Message) error {
	err := p.PoisonStore.StorePoison(ctx, m)
	if err == nil {
		reason, _, _ := strings.Cut(m.Reason, "\n")
		p.options.Report("poison", fmt.Sprintf("%s  %s: %s  → %s", m.Handler, m.Code, reason, p.options.CommandLine("poison show "+m.ID)))
	}
	return err
}
