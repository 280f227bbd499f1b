package routertest

import (
	"reflect"
	"slices"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// names are what a test may ask a kit about. A misspelt name fails the test: otherwise it
// would find nothing, which is what many tests assert.
type names struct {
	topics, reactions, projections []string
	watched                        bool // whether there is an inbox, which records what reactions handle
}

// learn takes the names from a catalogue and its handlers.
func (n *names) learn(catalogue *events.Catalogue, handlers []router.HandlerInfo) {
	for _, a := range catalogue.Aggregates() {
		n.topics = append(n.topics, events.CommandTopic(a), events.EventTopic(a))
	}
	for _, h := range handlers {
		switch h.Kind {
		case router.KindProjection:
			n.projections = append(n.projections, h.Name)
		case router.KindReaction:
			n.reactions = append(n.reactions, h.Name)
		}
	}
}

// knows fails the test unless a name is among those that there are.
func (k *Kit) knows(what, name string, all []string) {
	k.t.Helper()
	if !slices.Contains(all, name) {
		k.t.Fatalf("routertest: there is no %s %q; there are %s", what, name, listed(all))
	}
}

// listed returns names as a sorted list.
func listed(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(slices.Values(all)), ", ")
}

// isNil reports whether an event or command is nil, or a nil pointer.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}
