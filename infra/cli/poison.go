package cli

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poison() *cobra.Command {
	cmd := group("poison", "What handlers could not handle, and mending it",
		c.poisonList(), c.poisonShow(), c.poisonRetry(), c.poisonDiscard(), c.poisonExport(), c.poisonImport(), c.poisonAudit())
	cmd.Long = "A message that a handler could not handle is kept whole, as a poison letter: one for each handler\n" +
		"and message, however often that fails. Look at them, mend what was wrong, and give them to their handler again."
	return cmd
}

// picking is what the flags say about which letters are meant.
type picking struct {
	filters      []string
	byField      map[string]*filledList // the shorthands, by field
	older, newer filledText
}

func (p *picking) flags(c *cli, cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVar(&p.filters, "filter", nil, "only letters with handler=…,type=…,code=…,correlation=… (also key, frame, kind, queue, source, message); may be repeated")
	p.byField = map[string]*filledList{"handler": {}, "type": {}, "code": {}}
	f.Var(p.byField["handler"], "handler", "only letters of this handler; may be repeated")
	f.Var(p.byField["type"], "type", "only messages of this type; may be repeated")
	f.Var(p.byField["code"], "code", "only failures with this code; may be repeated")
	f.Var(&p.older, "older", "only letters that failed last before that: some time ago (1h), or a time (2026-01-31T12:00:00Z)")
	f.Var(&p.newer, "newer", "only letters that failed last since then")
	// These fail only for a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc("handler", words(c.names...))
	_ = cmd.RegisterFlagCompletionFunc("type", words(append(c.catalogue.Commands(), c.catalogue.Events()...)...))
	_ = cmd.RegisterFlagCompletionFunc("filter", words(slices.Collect(func(yield func(string) bool) {
		for _, name := range slices.Sorted(maps.Keys(filterNames())) {
			if !yield(name + "=") {
				return
			}
		}
	})...))
}

// filterNames are what --filter and --group-by understand, with the letters'
// fields behind them.
func filterNames() map[string]string {
	out := map[string]string{"correlation": "correlation_id", "message": "message_id"}
	for _, f := range poison.Fields() {
		out[f] = f
	}
	return out
}

// filter is what the flags come to.
func (p *picking) filter(now time.Time) (poison.Filter, error) {
	f := poison.Filter{Fields: map[string][]string{}}
	for _, given := range p.filters {
		for _, pair := range strings.Split(given, ",") {
			name, value, ok := strings.Cut(pair, "=")
			if !ok || value == "" {
				return f, usagef("--filter has %q; it must be name=value, several separated by commas", pair)
			}
			field, known := filterNames()[name]
			if !known {
				names := slices.Sorted(maps.Keys(filterNames()))
				return f, usagef("--filter: letters have no %q; the nearest is %q", name, nearest(name, names)).WithHint("they have %s", strings.Join(names, ", "))
			}
			f.Fields[field] = append(f.Fields[field], value)
		}
	}
	for field, values := range p.byField {
		if len(*values) > 0 {
			f.Fields[field] = append(f.Fields[field], *values...)
		}
	}
	for flag, bound := range map[string]struct {
		text filledText
		into *time.Time
	}{"--older": {p.older, &f.Before}, "--newer": {p.newer, &f.After}} {
		if bound.text == "" {
			continue
		}
		at, err := parseMoment(flag, string(bound.text), now)
		if err != nil {
			return f, err
		}
		*bound.into = at
	}
	return f, nil
}

// given tells whether any of the flags is.
func (p *picking) given() bool {
	for _, values := range p.byField {
		if len(*values) > 0 {
			return true
		}
	}
	return len(p.filters) > 0 || p.older != "" || p.newer != ""
}
