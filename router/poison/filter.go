package poison

import (
	"slices"
	"time"
)

// Filter selects poison messages. The zero value selects all.
type Filter struct {
	// Fields maps names of [Fields] to values, of which a message must have one.
	Fields map[string][]string
	// After and Before bound the time of the last failure: a message is selected if it
	// failed last at After or later, and earlier than Before. Zero: no bound.
	After, Before time.Time
}

// Match reports whether the filter selects a message.
func (f Filter) Match(m Message) bool {
	for name, values := range f.Fields {
		if !slices.Contains(values, m.Field(name)) {
			return false
		}
	}
	return (f.After.IsZero() || !m.LastFailedAt.Before(f.After)) && (f.Before.IsZero() || m.LastFailedAt.Before(f.Before))
}

// Order is the order of a list of poison messages.
type Order bool

// The orders, by the time of the last failure.
const (
	OldestFirst Order = false
	NewestFirst Order = true
)
