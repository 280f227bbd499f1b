package router

import (
	"errors"
	"slices"
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// plan is a declaration that was checked, with what it takes to run it.
type plan struct {
	Handler
	policy   Policy // the effective one
	settings []Setting
	topic    string                  // empty for a projection
	types    map[string]*events.Type // that the handler receives, by wire name
	// blocked is set for a handler whose messages are parked behind failed ones.
	blocked *blockedKeys
}

// consumed returns the wire names of the types that the handler receives.
func (p *plan) consumed() []string {
	var names []string
	for _, t := range p.declared.consumes() {
		names = append(names, t.name)
	}
	return names
}

// typ returns the only type that a command handler or a reaction receives.
func (p *plan) typ() *events.Type { return p.types[p.declared.consumes()[0].name] }

// check turns declarations into plans, or returns everything that is wrong.
func check(c *events.Catalogue, handlers []Handler, overrides map[string]Overrides) ([]*plan, error) {
	var errs []error
	names := map[string]bool{}
	queues := map[string]string{}
	commands := map[string]string{}
	var plans []*plan
	for i, h := range handlers {
		fail := func(format string, args ...any) {
			errs = append(errs, events.Errorf(events.CodeConfig, "handler %q: "+format, append([]any{h.name}, args...)...))
		}
		if !queueName.MatchString(h.name) {
			errs = append(errs, events.Errorf(events.CodeConfig, "handler %d is named %q; use letters, digits, '.', '_' and '-', at most 200", i+1, h.name))
			continue
		}
		if names[h.name] {
			fail("the name is declared twice")
			continue
		}
		names[h.name] = true
		if h.err != nil {
			fail("%w", h.err)
			continue
		}
		p := &plan{Handler: h, types: map[string]*events.Type{}}
		if err := p.resolve(c); err != nil {
			fail("%w", err)
			continue
		}
		var faults []error
		if p.policy, p.settings, faults = effective(h.name, h.policy, overrides[h.name]); len(faults) > 0 {
			for _, err := range faults {
				fail("%w", err)
			}
			continue
		}
		if p.Kind() == KindProjection {
			p.settings = slices.DeleteFunc(p.settings, func(s Setting) bool { return s.Name != "paused" })
			if o := overrides[h.name]; o != (Overrides{Paused: o.Paused}) {
				fail("it is a projection, and of those only paused can be set")
			}
		} else {
			if p.Kind() == KindCommand {
				if h.policy.From != "" {
					fail("From is %q; only a reaction has a beginning in the log", h.policy.From)
				}
				p.settings = slices.DeleteFunc(p.settings, func(s Setting) bool { return s.Name == "from" })
			}
			if other, ok := queues[p.policy.Queue]; ok {
				fail("its queue %q is the queue of %q; a queue belongs to one handler", p.policy.Queue, other)
			}
			queues[p.policy.Queue] = h.name
		}
		if p.Kind() == KindCommand {
			if other, ok := commands[p.typ().Name]; ok {
				fail("the command %s is handled by %q already; a command has one handler", p.typ().Name, other)
			}
			commands[p.typ().Name] = h.name
		}
		plans = append(plans, p)
	}
	for name := range overrides {
		if !names[name] {
			errs = append(errs, events.Errorf(events.CodeConfig, "Overrides of %q: no handler has that name; %s", name, thereAre(names)))
		}
	}
	return plans, errors.Join(errs...)
}

// resolve looks up in the catalogue what the declaration names.
func (p *plan) resolve(c *events.Catalogue) error {
	for _, d := range p.declared.consumes() {
		t, ok := c.Lookup(d.name)
		if !ok {
			return events.Errorf(events.CodeConfig, "the type %q (%s) is not in the catalogue; register it in its domain's Register", d.name, d.typ)
		}
		if t.Go != d.typ {
			return events.Errorf(events.CodeConfig, "the catalogue has %s under the wire name %q, not %s", t.Go, d.name, d.typ)
		}
		if t.Command != (p.Kind() == KindCommand) {
			return events.Errorf(events.CodeConfig, "%q is of the wrong sort for a %s", d.name, p.Kind())
		}
		p.types[d.name] = t
	}
	switch d := p.declared.(type) {
	case *reaction:
		p.topic = events.EventTopic(p.typ().Aggregate)
	case *command:
		t := p.typ()
		p.topic = events.CommandTopic(t.Aggregate)
		a, ok := c.AggregateOfState(d.state)
		if !ok {
			return events.Errorf(events.CodeConfig, "the state %s is not in the catalogue; register it with events.StateOf", d.state)
		}
		if a.Name != t.Aggregate {
			return events.Errorf(events.CodeConfig, "%s is a command of %q, but %s is the state of %q", t.Name, t.Aggregate, d.state, a.Name)
		}
	}
	return nil
}

// isChosen returns a function that reports whether a handler is among those to run: one
// of the given names, or any if there are none.
func isChosen(plans []*plan, names []string) (func(*plan) bool, error) {
	known := map[string]bool{}
	for _, p := range plans {
		known[p.name] = true
	}
	for _, n := range names {
		if !known[n] {
			return nil, events.Errorf(events.CodeConfig, "HandlerNames: no handler is named %q; %s", n, thereAre(known))
		}
	}
	return func(p *plan) bool { return len(names) == 0 || slices.Contains(names, p.name) }, nil
}

// thereAre lists names for the end of an error.
func thereAre(names map[string]bool) string {
	switch len(names) {
	case 0:
		return "there are none"
	case 1:
		return "there is only " + sorted(names)[0]
	}
	return "there are " + strings.Join(sorted(names), ", ")
}

func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
