package router_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// Types that the catalogue of the tests does not know.
type (
	stray      struct{}
	strayState struct{}
	strayWish  struct{}
)

func (stray) EventType() string                 { return "STRAY" }
func (strayState) Apply(events.Data) strayState { return strayState{} }
func (strayWish) CommandType() string           { return "WISH" }
func (strayWish) AggregateID() string           { return "1" }

// pointerState is a state whose method has a pointer receiver.
type pointerState struct{}

func (p *pointerState) Apply(events.Data) *pointerState { return p }

// embedding has its wire name from a pointer that is nil in a zero value.
type embedding struct{ *sample.Created }

// impostor has the wire name of another type.
type impostor struct{}

func (impostor) EventType() string { return "USER_CREATED" }

func catalogue(t testing.TB) *events.Catalogue {
	t.Helper()
	c := events.NewCatalogue()
	if err := sample.Register(c); err != nil {
		t.Fatal(err)
	}
	return c
}

func react(context.Context, router.Event[sample.Created]) error { return nil }

func create(context.Context, sample.Create, sample.User) ([]events.Data, error) { return nil, nil }

type row struct{ N int }

func count(r *row, _ router.Event[sample.Created]) error {
	r.N++
	return nil
}

func TestDescribe_WrongDeclarations(t *testing.T) {
	t.Parallel()
	two := 2
	for _, tt := range []struct {
		name      string
		handlers  []router.Handler
		overrides map[string]router.Overrides
		want      []string // all of these are in the error
	}{
		{"no name", []router.Handler{router.On("", react)}, nil, []string{"handler 1", `""`}},
		{"a name no queue can have", []router.Handler{router.On("a b", react)}, nil, []string{`"a b"`}},
		{"a name twice", []router.Handler{router.On("a", react), router.Project("a", router.Case(count))}, nil, []string{`"a"`, "twice"}},
		{"a queue twice", []router.Handler{router.On("a", react, router.Policy{Queue: "q"}), router.On("b", react, router.Policy{Queue: "q"})}, nil, []string{`"b"`, `"q"`, `"a"`}},
		{"a command with two handlers", []router.Handler{router.Decide("a", create), router.Decide("b", create)}, nil, []string{`"b"`, "CREATE_USER", `"a"`}},
		{"no function", []router.Handler{router.On[sample.Created]("a", nil)}, nil, []string{`"a"`, "no function"}},
		{"two policies", []router.Handler{router.On("a", react, router.Policy{}, router.Policy{})}, nil, []string{`"a"`, "2 policies"}},
		{"an unknown event", []router.Handler{router.On("a", func(context.Context, router.Event[stray]) error { return nil })}, nil, []string{`"a"`, `"STRAY"`, "catalogue"}},
		{"another type's name", []router.Handler{router.On("a", func(context.Context, router.Event[impostor]) error { return nil })}, nil, []string{`"a"`, "USER_CREATED", "impostor"}},
		{"an unknown command", []router.Handler{router.Decide("a", func(context.Context, strayWish, sample.User) ([]events.Data, error) { return nil, nil })}, nil, []string{`"a"`, `"WISH"`}},
		{"an unknown state", []router.Handler{router.Decide("a", func(context.Context, sample.Create, strayState) ([]events.Data, error) { return nil, nil })}, nil, []string{`"a"`, "strayState"}},
		{"no cases", []router.Handler{router.Project("a")}, nil, []string{`"a"`, "no cases"}},
		{"a case twice", []router.Handler{router.Project("a", router.Case(count), router.Case(count))}, nil, []string{`"a"`, "two cases", "USER_CREATED"}},
		{"two row types", []router.Handler{router.Project("a", router.Case(count), router.Case(func(*string, router.Event[sample.Deactivated]) error { return nil }))}, nil, []string{`"a"`, "row types"}},
		{"concurrency out of bounds", []router.Handler{router.On("a", react, router.Policy{Concurrency: -1})}, nil, []string{`"a"`, "concurrency", "-1"}},
		{"a timeout above the broker's", []router.Handler{router.On("a", react, router.Policy{Timeout: time.Hour})}, nil, []string{`"a"`, "timeout", "1h"}},
		{"overrides of an unknown handler", []router.Handler{router.On("a", react)}, map[string]router.Overrides{"b": {Attempts: &two}}, []string{`Overrides of "b"`, "there is only a"}},
		{"a pointer to an event", []router.Handler{router.On("a", func(context.Context, router.Event[*sample.Created]) error { return nil })}, nil,
			[]string{`handler "a"`, "*sample.Created is a pointer; use sample.Created"}},
		{"an interface for an event", []router.Handler{router.On("a", func(context.Context, router.Event[events.Data]) error { return nil })}, nil,
			[]string{`handler "a"`, "events.Data is an interface"}},
		{"a pointer to a command and to a state", []router.Handler{router.Decide("a", func(context.Context, *sample.Create, *pointerState) ([]events.Data, error) { return nil, nil })}, nil,
			[]string{`handler "a"`, "*sample.Create is a pointer", "*router_test.pointerState is a pointer"}},
		{"a case for a pointer", []router.Handler{router.Project("a", router.Case(func(*row, router.Event[*sample.Created]) error { return nil }))}, nil,
			[]string{`handler "a"`, "*sample.Created is a pointer"}},
		{"a case by key for a pointer", []router.Handler{router.Project("a", router.CaseBy(func(router.Event[*sample.Created]) string { return "" }, func(*row, router.Event[*sample.Created]) error { return nil }))}, nil,
			[]string{`handler "a"`, "*sample.Created is a pointer"}},
		{"an event that panics", []router.Handler{router.On("a", func(context.Context, router.Event[embedding]) error { return nil })}, nil,
			[]string{`handler "a"`, "router_test.embedding panics"}},
		{"overrides of one of two handlers", []router.Handler{router.On("a", react), router.On("b", react)}, map[string]router.Overrides{"c": {Attempts: &two}}, []string{"there are a, b"}},
		{"overrides without handlers", nil, map[string]router.Overrides{"c": {Attempts: &two}}, []string{"there are none"}},
		{"all of a policy at once", []router.Handler{router.On("a", react, router.Policy{Queue: "a b", Attempts: 101, Timeout: time.Hour})}, nil,
			[]string{`handler "a": queue is "a b"`, `handler "a": attempts is 101`, `handler "a": timeout is 1h`}},
		{"everything at once", []router.Handler{router.On("a", react, router.Policy{Attempts: 101}), router.Project("b")}, nil, []string{`"a"`, "101", `"b"`, "no cases"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := router.Describe(catalogue(t), tt.handlers, tt.overrides)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error does not say %q: %v", w, err)
				}
			}
		})
	}
}

func TestDescribe_SourcesOfSettings(t *testing.T) {
	t.Parallel()
	three := 3
	infos, err := router.Describe(catalogue(t),
		[]router.Handler{router.On("welcome", react, router.Policy{Queue: "mail", Concurrency: 7})},
		map[string]router.Overrides{"welcome": {Attempts: &three}})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(infos[0].Settings)
	for _, want := range []string{
		`{"Name":"queue","Value":"mail","Source":"declaration"}`,
		`{"Name":"concurrency","Value":"7","Source":"declaration"}`,
		`{"Name":"attempts","Value":"3","Source":"file"}`,
		`{"Name":"timeout","Value":"30s","Source":"default"}`,
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the settings lack %s:\n%s", want, got)
		}
	}
}
