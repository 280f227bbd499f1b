package poison

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// Group counts messages that have the same values in some fields.
type Group struct {
	// Fields are the names of these fields, and Values their values, in the same order.
	Fields, Values []string
	Messages       int
	// FirstFailedAt and LastFailedAt are the earliest and the latest of the messages' own.
	FirstFailedAt, LastFailedAt time.Time
}

// MarshalJSON writes the fields by their names, then messages, first_failed_at and
// last_failed_at.
func (g Group) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, name := range g.Fields {
		value, err := json.MarshalReadable(g.Values[i])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "%q:%s,", name, value)
	}
	fmt.Fprintf(&out, `"messages":%d,"first_failed_at":%q,"last_failed_at":%q}`, g.Messages, timeText(g.FirstFailedAt), timeText(g.LastFailedAt))
	return out.Bytes(), nil
}

// GroupBy groups messages by some of the [Fields], the largest group first; groups of one
// size are sorted by their values. An unknown field is an error with the code INVALID.
func GroupBy(messages iter.Seq2[Message, error], fields ...string) ([]Group, error) {
	g, err := newGrouping(fields...)
	if err != nil {
		return nil, err
	}
	for m, err := range messages {
		if err != nil {
			return nil, err
		}
		g.add(m)
	}
	return g.sorted(), nil
}

type grouping struct {
	fields []string
	groups map[string]*Group
	total  int
}

func newGrouping(fields ...string) (*grouping, error) {
	g := &grouping{groups: map[string]*Group{}}
	for _, f := range fields {
		if !slices.Contains(Fields(), f) {
			return nil, events.Errorf(events.CodeInvalid, "poison messages have no field %q", f).WithHint("they have %s", strings.Join(Fields(), ", "))
		}
		if !slices.Contains(g.fields, f) {
			g.fields = append(g.fields, f)
		}
	}
	return g, nil
}

func (g *grouping) add(m Message) {
	values := make([]string, len(g.fields))
	for i, f := range g.fields {
		values[i] = m.Field(f)
	}
	key := strings.Join(values, "\x00")
	group := g.groups[key]
	if group == nil {
		group = &Group{Fields: g.fields, Values: values, FirstFailedAt: m.FirstFailedAt, LastFailedAt: m.LastFailedAt}
		g.groups[key] = group
	}
	group.Messages++
	g.total++
	if m.FirstFailedAt.Before(group.FirstFailedAt) {
		group.FirstFailedAt = m.FirstFailedAt
	}
	if m.LastFailedAt.After(group.LastFailedAt) {
		group.LastFailedAt = m.LastFailedAt
	}
}

func (g *grouping) sorted() []Group {
	var out []Group
	for _, group := range g.groups {
		out = append(out, *group)
	}
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Or(b.Messages-a.Messages, slices.Compare(a.Values, b.Values))
	})
	return out
}
