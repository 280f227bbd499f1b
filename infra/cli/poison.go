package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poison() *cobra.Command {
	cmd := input.Group("poison", "Messages that handlers failed to process: find, retry, discard",
		c.poisonList(), c.poisonShow(), c.poisonRetry(), c.poisonDiscard(), c.poisonExport(), c.poisonImport(), c.poisonAudit())
	cmd.Long = "A message that a handler failed to process is kept whole, as a poison message: one for each handler and\n" +
		"message, however often that fails. Find out what is wrong, correct it, and retry the messages."
	return cmd
}

// poisonFilter has the flags that select poison messages.
type poisonFilter struct {
	filters      []string
	byField      map[string]*input.List // the shorthands, by field
	older, newer input.Text
}

func (p *poisonFilter) flags(c *cli, cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVar(&p.filters, "filter", nil, "only messages with handler=…,type=…,code=…,correlation=… (also key, frame, kind, queue, source, message); may be repeated")
	p.byField = map[string]*input.List{"handler": {}, "type": {}, "code": {}}
	f.Var(p.byField["handler"], "handler", "only messages of this handler; may be repeated")
	f.Var(p.byField["type"], "type", "only messages of this type; may be repeated")
	f.Var(p.byField["code"], "code", "only failures with this code; may be repeated")
	f.Var(&p.older, "older", "only messages that failed last before that: some time ago (1h, 2w), or a time (2026-01-31T12:00:00Z)")
	f.Var(&p.newer, "newer", "only messages that failed last since then")
	// These fail only for a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc("handler", input.Words(c.HandlerNames()...))
	_ = cmd.RegisterFlagCompletionFunc("type", input.Words(slices.Concat(c.Catalogue.Commands(), c.Catalogue.Events())...))
	var filters []string
	for _, name := range slices.Sorted(maps.Keys(filterNames())) {
		filters = append(filters, name+"=")
	}
	_ = cmd.RegisterFlagCompletionFunc("filter", input.Words(filters...))
}

// filterNames maps what --filter and --group-by accept to the fields of a poison message.
func filterNames() map[string]string {
	out := map[string]string{"correlation": "correlation_id", "message": "message_id"}
	for _, f := range poison.Fields() {
		out[f] = f
	}
	return out
}

// filterName returns the field of a name that --filter or --group-by was given.
func filterName(flag, name string) (string, error) {
	if field, ok := filterNames()[name]; ok {
		return field, nil
	}
	names := slices.Sorted(maps.Keys(filterNames()))
	return "", input.Usagef("%s: poison messages have no %q%s", flag, name, settings.DidYouMean(name, names)).WithHint("they have %s", strings.Join(names, ", "))
}

// filter returns the filter that the flags ask for.
func (p *poisonFilter) filter(now time.Time) (poison.Filter, error) {
	f := poison.Filter{Fields: map[string][]string{}}
	for _, given := range p.filters {
		for _, pair := range strings.Split(given, ",") {
			name, value, ok := strings.Cut(pair, "=")
			if !ok || value == "" {
				return f, input.Usagef("--filter has %q; it must be name=value, several separated by commas", pair)
			}
			field, err := filterName("--filter", name)
			if err != nil {
				return f, err
			}
			f.Fields[field] = append(f.Fields[field], value)
		}
	}
	for field, values := range p.byField {
		if len(*values) > 0 {
			f.Fields[field] = append(f.Fields[field], *values...)
		}
	}
	var err error
	if f.Before, err = input.ParseMoment("--older", string(p.older), now); err == nil {
		f.After, err = input.ParseMoment("--newer", string(p.newer), now)
	}
	return f, err
}

// selects reports whether a filter leaves out any message.
func selects(f poison.Filter) bool {
	return len(f.Fields) > 0 || !f.Before.IsZero() || !f.After.IsZero()
}

// noteUnmatched says on stderr that a filter selects nothing, and which handlers and
// types in it are unknown. A handler that has poison messages among the groups need not be
// known: it may have been removed from the application.
func (c *cli) noteUnmatched(f poison.Filter, matched int, groups []poison.Group) {
	if matched == 0 {
		_, _ = fmt.Fprintln(c.stderr, "no poison message matches")
	}
	note := func(what string, given, known []string) {
		for _, name := range given {
			found := slices.ContainsFunc(groups, func(g poison.Group) bool { return slices.Contains(g.Values, name) })
			if !found && !slices.Contains(known, name) {
				_, _ = fmt.Fprintf(c.stderr, "there is no %s %q%s\n", what, name, settings.Suggest(name, known))
			}
		}
	}
	note("handler", f.Fields["handler"], c.HandlerNames())
	if matched == 0 {
		note("type", f.Fields["type"], slices.Concat(c.Catalogue.Commands(), c.Catalogue.Events()))
	}
}
