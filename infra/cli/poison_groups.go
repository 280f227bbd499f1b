package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/poison"
)

// letterGroups count letters by some of their fields.
type letterGroups struct {
	fields []string
	byKey  map[string]*letterGroup
}

// letterGroup is a group as it is printed. Only the fields that are grouped by
// are there.
type letterGroup struct {
	Handler       *string `json:"handler,omitempty"`
	Type          *string `json:"type,omitempty"`
	Code          *string `json:"code,omitempty"`
	Frame         *string `json:"frame,omitempty"`
	Key           *string `json:"key,omitempty"`
	Kind          *string `json:"kind,omitempty"`
	Queue         *string `json:"queue,omitempty"`
	Source        *string `json:"source,omitempty"`
	CorrelationID *string `json:"correlation_id,omitempty"`
	MessageID     *string `json:"message_id,omitempty"`
	Letters       int     `json:"letters"`
	FirstFailedAt string  `json:"first_failed_at"`
	LastFailedAt  string  `json:"last_failed_at"`
}

func newLetterGroups(names []string) (*letterGroups, error) {
	g := &letterGroups{byKey: map[string]*letterGroup{}}
	for _, name := range names {
		field, ok := filterNames()[name]
		if !ok {
			return nil, usagef("--group-by: letters have no %q; the nearest is %q", name, nearest(name, poison.Fields()))
		}
		if !slices.Contains(g.fields, field) {
			g.fields = append(g.fields, field)
		}
	}
	return g, nil
}

// field is where a group keeps its value of a field.
func (g *letterGroup) field(name string) **string {
	return map[string]**string{
		"handler": &g.Handler, "type": &g.Type, "code": &g.Code, "frame": &g.Frame, "key": &g.Key, "kind": &g.Kind, "queue": &g.Queue,
		"source": &g.Source, "correlation_id": &g.CorrelationID, "message_id": &g.MessageID,
	}[name]
}

func (g *letterGroups) add(l poison.Message) {
	values := make([]string, len(g.fields))
	for i, f := range g.fields {
		values[i] = l.Field(f)
	}
	key := strings.Join(values, "\x00")
	group := g.byKey[key]
	first, last := l.FirstFailedAt.Format(events.TimeLayout), l.LastFailedAt.Format(events.TimeLayout)
	if group == nil {
		group = &letterGroup{FirstFailedAt: first, LastFailedAt: last}
		for i, f := range g.fields {
			*group.field(f) = &values[i]
		}
		g.byKey[key] = group
	}
	group.Letters++
	group.FirstFailedAt, group.LastFailedAt = min(group.FirstFailedAt, first), max(group.LastFailedAt, last)
}

// sorted are the groups, the largest first.
func (g *letterGroups) sorted() []letterGroup {
	var out []letterGroup
	for _, group := range g.byKey {
		out = append(out, *group)
	}
	slices.SortFunc(out, func(a, b letterGroup) int {
		if a.Letters != b.Letters {
			return b.Letters - a.Letters
		}
		for _, f := range g.fields {
			if c := cmp.Compare(**a.field(f), **b.field(f)); c != 0 {
				return c
			}
		}
		return 0
	})
	return out
}

// total is how many letters there are in all groups.
func (g *letterGroups) total() int {
	n := 0
	for _, group := range g.byKey {
		n += group.Letters
	}
	return n
}

func (g *letterGroups) print(p printer) error {
	var columns []column[letterGroup]
	for _, f := range g.fields {
		columns = append(columns, column[letterGroup]{f, func(group letterGroup) string { return cell(**group.field(f), 60) }})
	}
	return printList(p, g.sorted(), append(columns,
		column[letterGroup]{"letters", func(group letterGroup) string { return fmt.Sprint(group.Letters) }},
		column[letterGroup]{"first failed", func(group letterGroup) string { return group.FirstFailedAt }},
		column[letterGroup]{"last failed", func(group letterGroup) string { return group.LastFailedAt }})...)
}
