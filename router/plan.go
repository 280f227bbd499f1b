package router

import (
	"errors"
	"slices"
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// plan is a declaration that was found right, with all that running it needs.
type plan struct {
	Handler
	policy   Policy
	settings []Setting
	topic    string
	byName   map[string]*events.Type
	// calm is set for a handler whose messages are parked behind failed ones.
	calm *calm
}

// check turns declarations into plans, or tells everything that is wrong.
func check(c *events.Catalogue, handlers []Handler, tuning map[string]Overrides) ([]*plan, error) {
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
		p := &plan{Handler: h, byName: map[string]*events.Type{}}
		if err := p.resolve(c); err != nil {
			fail("%w", err)
			continue
		}
		var err error
		if p.policy, p.settings, err = effective(h.name, h.policy, tuning[h.name]); err != nil {
			fail("%w", err)
			continue
		}
		if h.kind == KindProjection {
			p.settings = slices.DeleteFunc(p.settings, func(s Setting) bool { return s.Name != "paused" })
			if t := tuning[h.name]; t != (Overrides{Paused: t.Paused}) {
				fail("it is a projection, and of those only paused can be set")
			}
		} else {
			if other, ok := queues[p.policy.Queue]; ok {
				fail("its queue %q is the queue of %q; a queue belongs to one handler", p.policy.Queue, other)
			}
			queues[p.policy.Queue] = h.name
		}
		if h.kind == KindCommand {
			if other, ok := commands[h.types[0]]; ok {
				fail("the command %s is handled by %q already; a command has one handler", h.types[0], other)
			}
			commands[h.types[0]] = h.name
		}
		plans = append(plans, p)
	}
	for name := range tuning {
		if !names[name] {
			errs = append(errs, events.Errorf(events.CodeConfig, "Overrides of %q: no handler has that name; there are %s", name, strings.Join(sorted(names), ", ")))
		}
	}
	return plans, errors.Join(errs...)
}

// resolve looks everything up that the declaration names.
func (p *plan) resolve(c *events.Catalogue) error {
	for i, name := range p.types {
		t, ok := c.Lookup(name)
		if !ok {
			return events.Errorf(events.CodeConfig, "the type %q (%s) is not in the catalogue; register it in its domain's Register", name, p.consumes[i])
		}
		if t.Go != p.consumes[i] {
			return events.Errorf(events.CodeConfig, "the catalogue has %s under the wire name %q, not %s", t.Go, name, p.consumes[i])
		}
		if t.Command != (p.kind == KindCommand) {
			return events.Errorf(events.CodeConfig, "%q is of the wrong sort for a %s", name, p.kind)
		}
		p.byName[name] = t
	}
	if p.kind == KindProjection {
		return nil
	}
	t := p.byName[p.types[0]]
	p.topic = events.EventTopic(t.Aggregate)
	if p.kind == KindCommand {
		p.topic = events.CommandTopic(t.Aggregate)
		a, ok := c.AggregateOfState(p.state)
		if !ok {
			return events.Errorf(events.CodeConfig, "the state %s is not in the catalogue; register it with events.StateOf", p.state)
		}
		if a.Name != t.Aggregate {
			return events.Errorf(events.CodeConfig, "%s is a command of %q, but %s is the state of %q", t.Name, t.Aggregate, p.state, a.Name)
		}
	}
	return nil
}

// only keeps the named plans, in their order.
func only(plans []*plan, names []string) ([]*plan, error) {
	if len(names) == 0 {
		return plans, nil
	}
	known := map[string]bool{}
	var kept []*plan
	for _, p := range plans {
		known[p.name] = true
		if slices.Contains(names, p.name) {
			kept = append(kept, p)
		}
	}
	for _, n := range names {
		if !known[n] {
			return nil, events.Errorf(events.CodeConfig, "Only: no handler is named %q; there are %s", n, strings.Join(sorted(known), ", "))
		}
	}
	return kept, nil
}

func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
