package events_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// Types that cannot be declared.
type (
	base     struct{ Name string }
	embedder struct{ *base } // Its methods panic on a zero value.
	spaced   struct{}
	control  struct{}
	long     struct{}
	wired    struct {
		Notify chan int `json:"notify"`
	}
	deep struct {
		Items []map[string]*struct{ Call func() }
	}
	keyed struct{ By map[base]int }
	// writable looks like those, and can be written.
	writable struct {
		Skipped chan int `json:"-"`
		hidden  func()   //nolint:unused // It is here in order not to be looked at.
		At      time.Time
		Next    *writable
		By      map[int]any
	}
	badState struct{ *snapshotted }
)

func (b *base) EventType() string             { return b.Name }
func (b *base) CommandType() string           { return b.Name }
func (b *base) AggregateID() string           { return b.Name }
func (spaced) EventType() string              { return "CAR PARKED" }
func (control) EventType() string             { return "CAR\x01" }
func (long) EventType() string                { return strings.Repeat("x", 256) }
func (wired) EventType() string               { return "WIRED" }
func (deep) EventType() string                { return "DEEP" }
func (keyed) EventType() string               { return "KEYED" }
func (writable) EventType() string            { return "WRITABLE" }
func (b badState) Apply(events.Data) badState { return b }

type snapshotted struct{ version int }

func (s *snapshotted) SnapshotVersion() int { return s.version }

// pointed is a state whose methods have a pointer receiver.
type pointed struct{}

func (p *pointed) Apply(events.Data) *pointed { return p }

func TestCatalogue_Aggregate_TypesThatCannotBeDeclared(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		aggregate string
		entry     events.Entry
		want      []string // all of these are in the error
	}{
		"a nil entry":                          {"a", nil, []string{`"a"`, "entry 1 is nil", "events.EventOf"}},
		"a pointer to an event":                {"a", events.EventOf[*paid](), []string{`"a"`, "*events_test.paid is a pointer; use events_test.paid"}},
		"a pointer with methods of its own":    {"a", events.EventOf[*base](), []string{"*events_test.base is a pointer"}},
		"an interface for an event":            {"a", events.EventOf[events.Data](), []string{"events.Data is an interface"}},
		"a pointer to a command":               {"a", events.CommandOf[*pay](), []string{"*events_test.pay is a pointer; use events_test.pay"}},
		"an interface for a command":           {"a", events.CommandOf[events.Command](), []string{"events.Command is an interface"}},
		"a pointer to a state":                 {"a", events.StateOf[*pointed](), []string{"*events_test.pointed is a pointer"}},
		"an event that panics":                 {"a", events.EventOf[embedder](), []string{"events_test.embedder panics", "nil pointer"}},
		"a command that panics":                {"a", events.CommandOf[embedder](), []string{"events_test.embedder panics", "nil pointer"}},
		"a state that panics":                  {"a", events.StateOf[badState](), []string{"events_test.badState panics", "SnapshotVersion"}},
		"a wire name with white space":         {"a", events.EventOf[spaced](), []string{"events_test.spaced", `"CAR PARKED"`, "white space"}},
		"a wire name with a control character": {"a", events.EventOf[control](), []string{"events_test.control", "control character"}},
		"a wire name that is too long":         {"a", events.EventOf[long](), []string{"events_test.long", "256 bytes", "255"}},
		"an aggregate with white space":        {"a b", events.EventOf[closed](), []string{`"a b"`, "white space"}},
		"an aggregate that is too long":        {strings.Repeat("a", 181), events.EventOf[closed](), []string{"181 bytes"}},
		"data with a channel":                  {"a", events.EventOf[wired](), []string{"events_test.wired.Notify is a chan int"}},
		"data with a function within":          {"a", events.EventOf[deep](), []string{"events_test.deep.Items.Call is a func()"}},
		"data with keys that are structs":      {"a", events.EventOf[keyed](), []string{"events_test.keyed.By", "events_test.base"}},
		"an event of another aggregate":        {"a", events.EventOf[paid](), []string{`"PAID"`, `two aggregates, "account" and "a"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, bank(t).Aggregate(tt.aggregate, tt.entry), events.CodeConfig, tt.want...)
		})
	}
	wantError(t, bank(t).Aggregate("a", events.EventOf[fresh](), events.EventOf[fresh]()), events.CodeConfig, "events_test.fresh", "registered twice")
	if err := bank(t).Aggregate("a", events.EventOf[writable]()); err != nil {
		t.Errorf("an event that can be written is refused: %v", err)
	}
}
