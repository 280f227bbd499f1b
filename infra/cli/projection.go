package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// projectionView is how a projection is printed.
type projectionView struct {
	Name     string   `json:"name"`
	Consumes []string `json:"consumes"`
	// Read is how many events of the log it has read, Behind how many are left.
	Read   uint64 `json:"read"`
	Behind uint64 `json:"behind"`
}

// rebuildView is the result of a rebuild.
type rebuildView struct {
	Name   string `json:"name"`
	Status string `json:"status"` // "dropped", or "rebuilt" once it has caught up
	Events uint64 `json:"events"` // how many are replayed
	// Unknown counts the events of types that this build does not know, by type: they are
	// skipped, as by a rename of the type they would be.
	Unknown map[string]uint64 `json:"unknown,omitempty"`
}

func (c *cli) projection() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List every projection and how far it has read the log", Args: input.None,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.listProjections(cmd.Context()) },
	}
	c.listFlags(list.Flags(), "names")
	get := &cobra.Command{
		Use: "get NAME KEY", Short: "Print one row", Args: input.Exactly("the projection's name", "the row's key"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.getRow(cmd.Context(), args[0], args[1]) },
	}
	var after string
	var limit int
	rows := &cobra.Command{
		Use: "rows NAME", Short: "List rows, sorted by key", Args: input.Exactly("the projection's name"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.listRows(cmd.Context(), args[0], after, limit) },
	}
	rows.Flags().StringVar(&after, "after", "", "begin after this key")
	c.listFlags(rows.Flags(), "keys")
	rows.Flags().IntVar(&limit, "limit", 100, "at most this many rows, 1 to 10000")
	var wait bool
	timeout := input.Duration(time.Minute)
	rebuild := &cobra.Command{
		Use: "rebuild NAME", Short: "Drop the rows and have the running service replay the log", Args: input.Exactly("the projection's name"),
		Long: "Drop the rows of a projection and have the running service replay the log. Events of types that this build does not\n" +
			"know are skipped, as of a type that was renamed: the command reads the log for them, lists their types, and exits with 3.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.rebuild(cmd.Context(), args[0], wait, time.Duration(timeout))
		},
	}
	rebuild.Flags().BoolVar(&wait, "wait", false, "wait until it has caught up")
	rebuild.Flags().Var(&timeout, "timeout", "how long to wait")
	for _, cmd := range []*cobra.Command{get, rows, rebuild} {
		cmd.ValidArgsFunction = input.Words(c.Projections()...)
	}
	return input.Group("projection", "The read side", c.watchable(list), get, c.watchable(rows), rebuild)
}

func (c *cli) listProjections(ctx context.Context) error {
	handlers, err := c.Describe(c.settings)
	if err != nil {
		return err
	}
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return err
	}
	end, err := client.Store.End(ctx)
	if err != nil {
		return err
	}
	var views []projectionView
	for _, h := range handlers {
		if h.Kind != router.KindProjection {
			continue
		}
		at, err := client.Store.ProjectionCursor(ctx, h.Name)
		if err != nil {
			return err
		}
		views = append(views, projectionView{h.Name, h.Consumes, events.Cursor(nil).Behind(at), at.Behind(end)})
	}
	return output.List(c.printer(), views, output.Columns[projectionView]{
		Heads: []string{"name", "consumes", "read", "behind"},
		Row:   func(p projectionView) []any { return []any{p.Name, strings.Join(p.Consumes, ", "), p.Read, p.Behind} },
		Key:   func(p projectionView) string { return p.Name },
	})
}

func (c *cli) getRow(ctx context.Context, name, key string) error {
	client, err := c.reachProjection(ctx, name)
	if err != nil {
		return err
	}
	rows, err := client.Store.Rows(ctx, name, []string{key})
	if err != nil {
		return err
	}
	if len(rows) == 0 || rows[0] == nil {
		return events.Errorf(events.CodeNotFound, "the projection %s has no row %q", name, key).
			WithHint("`%s projection rows %s -q` lists the keys; a row whose event is new appears once `projection list` shows nothing behind", program(), name)
	}
	return output.One(c.printer(), json.RawMessage(rows[0]))
}

func (c *cli) listRows(ctx context.Context, name, after string, limit int) error {
	if limit < 1 || limit > 10_000 {
		return input.Usagef("--limit is %d; it must be 1 to 10000", limit)
	}
	client, err := c.reachProjection(ctx, name)
	if err != nil {
		return err
	}
	rows, err := client.Store.List(ctx, name, after, limit)
	if err != nil {
		return err
	}
	if len(rows) == 0 && after == "" && c.format == output.Table && !c.quiet {
		_, _ = fmt.Fprintf(c.stderr, "%s has no rows; `%s projection list` shows how far it has read the log\n", name, program())
	}
	var more []events.Row
	if len(rows) == limit {
		if more, err = client.Store.List(ctx, name, rows[limit-1].Key, 1); err != nil {
			return err
		}
	}
	if err := printRows(c.printer(), rows); err != nil || len(more) == 0 {
		return err
	}
	_, _ = fmt.Fprintf(c.stderr, "there are more rows than these %d; go on with --after=%s\n", limit, shellWord(rows[limit-1].Key))
	return nil
}

// printedRow is a row as it is printed: in JSON it is its data.
type printedRow struct {
	json.RawMessage
	key    string
	fields []output.Field
}

// printRows prints rows. Their table has a column for each field of the first one, and
// before them the key, unless each row has it in a field of one name.
func printRows(p output.Printer, rows []events.Row) error {
	printed := make([]printedRow, len(rows))
	for i, r := range rows {
		printed[i] = printedRow{RawMessage: r.Data, key: r.Key}
		printed[i].fields, _ = output.Fields(r.Data) // What is not JSON has no columns.
	}
	var names, heads []string
	if len(rows) > 0 {
		for _, f := range printed[0].fields {
			names = append(names, f.Name)
		}
		heads = names
	}
	shown := slices.ContainsFunc(names, func(name string) bool {
		return !slices.ContainsFunc(printed, func(r printedRow) bool { return r.field(name) != r.key })
	})
	if !shown && len(rows) > 0 {
		heads = append([]string{"key"}, names...)
	}
	return output.List(p, printed, output.Columns[printedRow]{
		Heads: heads,
		Row: func(row printedRow) []any {
			var cells []any
			if !shown {
				cells = append(cells, row.key)
			}
			for _, name := range names {
				cells = append(cells, row.field(name))
			}
			return cells
		},
		Key: func(row printedRow) string { return row.key },
	})
}

// field returns the value of a field, or "".
func (r printedRow) field(name string) string {
	if i := slices.IndexFunc(r.fields, func(f output.Field) bool { return f.Name == name }); i >= 0 {
		return r.fields[i].Value
	}
	return ""
}

func (c *cli) rebuild(ctx context.Context, name string, wait bool, timeout time.Duration) error {
	client, err := c.reachProjection(ctx, name)
	if err != nil {
		return err
	}
	end, err := client.Store.End(ctx)
	if err != nil {
		return err
	}
	if err := client.Store.DropProjection(ctx, name); err != nil {
		return err
	}
	view := rebuildView{Name: name, Status: "dropped", Events: events.Cursor(nil).Behind(end)}
	if wait {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if err := client.caughtUp(ctx, name, end); err != nil {
			return err
		}
		view.Status = "rebuilt"
	}
	if view.Unknown, err = c.unknownEvents(ctx, client.Store, end); err != nil {
		return err
	}
	if err := output.One(c.printer(), view); err != nil || len(view.Unknown) == 0 {
		return err
	}
	var types []string
	for _, t := range slices.Sorted(maps.Keys(view.Unknown)) {
		types = append(types, fmt.Sprintf("%s (%d events)", t, view.Unknown[t]))
	}
	return events.Errorf(codePartly, "the log has events of types that this build does not know, and %s has skipped them: %s", name, strings.Join(types, ", ")).
		WithHint("a type that was renamed keeps its old name in the log: give it the former wire name, or rebuild with a build that knows it")
}

// unknownEvents counts the events of the log up to end of which the catalogue does not have
// the type.
func (c *cli) unknownEvents(ctx context.Context, log router.LogReader, end events.Cursor) (map[string]uint64, error) {
	var unknown map[string]uint64
	at := events.Cursor(nil).Clone(log.Partitions())
	for at.Behind(end) > 0 {
		batch, err := log.Read(ctx, at, readBatch, 0)
		if err != nil {
			return nil, err
		}
		if len(batch) == 0 {
			break // It has become shorter.
		}
		for i := range batch {
			at[batch[i].Partition] = batch[i].Position
			if _, known := c.Catalogue.Lookup(batch[i].Type); !known {
				if unknown == nil {
					unknown = map[string]uint64{}
				}
				unknown[batch[i].Type]++
			}
		}
	}
	return unknown, nil
}

// caughtUp returns when a projection has read the log up to end.
func (c *client) caughtUp(ctx context.Context, name string, end events.Cursor) error {
	for {
		at, err := c.Store.ProjectionCursor(ctx, name)
		if err == nil && at.Behind(end) == 0 {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if !backoff.Wait(ctx, 50*time.Millisecond) {
			return events.Errorf(events.CodeTimeout, "the projection %s has not caught up in time, %d events are left: %w", name, at.Behind(end), ctx.Err()).MayRetry().
				WithHint("it goes on in the running service; `%s projection list` shows how far it is", program())
		}
	}
}

// reachProjection connects to the store, if the projection exists.
func (c *cli) reachProjection(ctx context.Context, name string) (*client, error) {
	if names := c.Projections(); !slices.Contains(names, name) {
		return nil, input.NotFound("projection", name, names)
	}
	return c.reach(ctx, storeOnly)
}
