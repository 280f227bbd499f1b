package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/router"
)

// maxListed bounds the events of one handler that are listed.
const maxListed = 1000

// openView is an event that a handler has not settled.
type openView struct {
	Handler       string    `json:"handler"`
	Place         string    `json:"place"`
	ID            string    `json:"id"`
	Type          string    `json:"type"`
	AggregateID   string    `json:"aggregate_id"`
	Version       uint64    `json:"version"`
	Timestamp     time.Time `json:"timestamp"`
	CorrelationID string    `json:"correlation_id"`
	Partition     int       `json:"log_partition"`
	Position      uint64    `json:"log_position"`
}

func (c *cli) ledger() *cobra.Command {
	var handler string
	var list, all bool
	cmd := &cobra.Command{
		Use: "ledger", Args: input.None,
		Short: "Account for every event: handled, waiting, poison, missing; exit 3 if any is missing",
		Long: "Balance the log against what each reaction has settled: every event of its types, since its ledger began, is handled or\n" +
			"discarded, or a poison message, parked behind one, or waiting; or it is missing. Waiting are events that are not published\n" +
			"yet, in the handler's queue, in the hands of an instance, or at the broker until their next attempt.\n\n" +
			"A running service looks for what is missing by itself, and delivers it again within half a minute.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.printLedger(cmd.Context(), handler, list || all, !all)
		},
	}
	c.listFlags(cmd.Flags(), "names")
	cmd.Flags().StringVar(&handler, "handler", "", "only this handler")
	_ = cmd.RegisterFlagCompletionFunc("handler", input.Words(c.reactions()...))
	cmd.Flags().BoolVar(&list, "list", false, fmt.Sprintf("list the events that are missing, at most %d of each handler", maxListed))
	cmd.Flags().BoolVar(&all, "open", false, "list all events that are not settled, and where they are")
	return c.watchable(cmd)
}

// reactions returns the names of the handlers that have a ledger.
func (c *cli) reactions() []string {
	var names []string
	for _, h := range c.Handlers {
		if h.Kind() == router.KindReaction {
			names = append(names, h.Name())
		}
	}
	return names
}

// printLedger prints the books of all reactions, or of one, or the events that are open.
func (c *cli) printLedger(ctx context.Context, handler string, list, onlyMissing bool) error {
	names := c.reactions()
	if handler != "" {
		if !slices.Contains(names, handler) {
			return input.NotFound("reaction", handler, names)
		}
		names = []string{handler}
	}
	r, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	books, open := []events.LedgerReport{}, []openView{}
	var missing uint64
	var notBegun error
	for _, name := range names {
		n := 0
		if list {
			n = maxListed
		}
		report, list, err := r.Books(ctx, name, n, onlyMissing)
		if events.CodeOf(err) == events.CodeNotFound && handler == "" {
			notBegun = err
			continue
		}
		if err != nil {
			return err
		}
		books = append(books, report)
		missing += report.Missing
		for _, e := range list {
			open = append(open, viewOfOpen(name, e))
		}
	}
	if len(books) == 0 && notBegun != nil {
		return notBegun
	}
	if list {
		err = c.listOpen(open)
	} else {
		err = c.listBooks(books)
	}
	if err == nil && missing > 0 {
		err = events.Errorf(codePartly, "events are missing: %d", missing).
			WithHint("a running service delivers them again by itself; `%s ledger --list` names them", program())
	}
	return err
}

func viewOfOpen(handler string, e router.OpenEvent) openView {
	return openView{handler, e.Place, e.ID, e.Type, e.AggregateID, e.Version, e.Timestamp, e.CorrelationID, e.Partition, e.Position}
}

func (c *cli) listBooks(views []events.LedgerReport) error {
	return output.List(c.printer(), views, output.Columns[events.LedgerReport]{
		Heads: []string{"handler", "events", "handled", "discarded", "poison", "parked", "waiting", "missing", "oldest", "healed"},
		Row: func(v events.LedgerReport) []any {
			oldest := ""
			if v.OldestSeconds > 0 {
				oldest = time.Duration(v.OldestSeconds * float64(time.Second)).Round(time.Second).String()
			}
			return []any{v.Handler, v.Events, v.Handled, v.Discarded, v.Poison, v.Parked, v.Waiting, v.Missing, oldest, v.Healed}
		},
		Key: func(v events.LedgerReport) string { return v.Handler },
	})
}

func (c *cli) listOpen(views []openView) error {
	return output.List(c.printer(), views, output.Columns[openView]{
		Heads: []string{"handler", "place", "type", "aggregate id", "version", "time", "partition", "position", "id"},
		Row: func(v openView) []any {
			return []any{v.Handler, v.Place, v.Type, v.AggregateID, v.Version, v.Timestamp.UTC().Format(time.RFC3339), v.Partition, v.Position, v.ID}
		},
		Key: func(v openView) string { return v.ID },
	})
}
