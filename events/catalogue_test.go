package events_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
)

// paid is in its third schema: the first had an amount and no currency, the second
// had both, and the third counts in cents.
type paid struct {
	Cents    int    `json:"cents"`
	Currency string `json:"currency"`
}

func (paid) EventType() string { return "PAID" }

// closed has the only schema it ever had.
type closed struct{}

func (closed) EventType() string { return "CLOSED" }

// account is the state that they fold into.
type account struct {
	Cents  int  `json:"cents"`
	Closed bool `json:"closed"`
}

func (a account) Apply(e events.Data) account {
	switch e := e.(type) {
	case paid:
		a.Cents += e.Cents
	case closed:
		a.Closed = true
	}
	return a
}

var errNoAmount = errors.New("there is no amount")

func withCurrency(old json.RawMessage) (json.RawMessage, error) {
	data := map[string]any{"currency": "EUR"}
	if err := json.Unmarshal(old, &data); err != nil {
		return nil, err
	}
	return json.Marshal(data)
}

func inCents(old json.RawMessage) (json.RawMessage, error) {
	var data struct {
		Amount   *int   `json:"amount"`
		Currency string `json:"currency"`
	}
	if err := json.Unmarshal(old, &data); err != nil {
		return nil, err
	}
	if data.Amount == nil {
		return nil, errNoAmount
	}
	return json.Marshal(paid{Cents: 100 * *data.Amount, Currency: data.Currency})
}

// bank is a catalogue of the types above.
func bank(t testing.TB) *events.Catalogue {
	t.Helper()
	c := events.NewCatalogue()
	if err := c.Aggregate("account",
		events.StateOf[account](),
		events.CommandOf[pay](),
		events.EventOf[paid](events.Upcast{From: 1, Func: withCurrency}, events.Upcast{From: 2, Func: inCents}),
		events.EventOf[closed](),
	); err != nil {
		t.Fatal(err)
	}
	return c
}

func envelope(typ string, schema int, data string) events.Envelope {
	return events.Envelope{Header: events.Header{ID: "the id", Type: typ, SchemaVersion: schema}, Data: json.RawMessage(data)}
}

func TestCatalogue_DecodeData_OlderSchemas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		schema int
		data   string
		want   paid
	}{
		{"no schema said is the first", 0, `{"amount":5}`, paid{500, "EUR"}},
		{"the first", 1, `{"amount":5}`, paid{500, "EUR"}},
		{"the second", 2, `{"amount":5,"currency":"SEK"}`, paid{500, "SEK"}},
		{"the current one", 3, `{"cents":5,"currency":"SEK"}`, paid{5, "SEK"}},
		{"more fields than we know", 3, `{"cents":5,"currency":"SEK","payer":"Ada"}`, paid{5, "SEK"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := bank(t).DecodeData(envelope("PAID", tt.schema, tt.data))
			if diff := cmp.Diff(any(tt.want), got); err != nil || diff != "" {
				t.Errorf("read as something else (%v, -want +got):\n%s", err, diff)
			}
		})
	}
}

func TestCatalogue_DecodeData_Errors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		given events.Envelope
		code  string
		want  []string // all of these are in the error
	}{
		{"an event nobody registered", envelope("STOLEN", 1, `{}`), events.CodeUnknownType, []string{`"STOLEN"`}},
		{"no type", envelope("", 1, `{}`), events.CodeUnknownType, nil},
		{"a version from the future", envelope("PAID", 4, `{"cents":5}`), events.CodeUndecodable, []string{"PAID", "4", "1 to 3", "deploy"}},
		{"a version before the first", envelope("PAID", -1, `{}`), events.CodeUndecodable, []string{"-1"}},
		{"an upcaster fails", envelope("PAID", 1, `{}`), events.CodeUndecodable, []string{"PAID", "from schema version 2 to 3", errNoAmount.Error()}},
		{"an upcaster gets no JSON", envelope("PAID", 1, `{`), events.CodeUndecodable, []string{"from schema version 1 to 2"}},
		{"a field of another type", envelope("PAID", 3, `{"cents":"five"}`), events.CodeUndecodable, []string{"PAID", "the id", "its type: cents must be a number, not a string"}},
		{"a number of another type", envelope("PAID", 3, `{"cents":1.5}`), events.CodeUndecodable, []string{"its type: cents must be a number of the type int, not 1.5"}},
		{"an array", envelope("PAID", 3, `[]`), events.CodeUndecodable, []string{"its type: it is an array, not an object"}},
		{"no data", envelope("PAID", 3, ``), events.CodeUndecodable, []string{"PAID", "its type: it is empty"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := bank(t).DecodeData(tt.given)
			wantError(t, err, tt.code, tt.want...)
			if got != nil || !events.IsPermanent(err) {
				t.Errorf("read as %v; another attempt cannot help, and yet it is made", got)
			}
		})
	}
	if _, err := bank(t).DecodeData(envelope("PAID", 2, `{}`)); !errors.Is(err, errNoAmount) {
		t.Errorf("the upcaster's own error is lost in %v", err)
	}
}

// Types that the catalogue above does not know, and cannot take but for the last two.
type (
	nameless  struct{}
	imitation struct{}
	mimic     struct{}
	fresh     struct{}
	other     struct{}
)

func (nameless) EventType() string      { return "" }
func (imitation) EventType() string     { return "PAID" }
func (fresh) EventType() string         { return "FRESH" }
func (mimic) CommandType() string       { return "PAID" }
func (mimic) AggregateID() string       { return "1" }
func (o other) Apply(events.Data) other { return o }

func TestCatalogue_Aggregate_Errors(t *testing.T) {
	t.Parallel()
	keep := func(old json.RawMessage) (json.RawMessage, error) { return old, nil }
	for _, tt := range []struct {
		name      string
		aggregate string
		entries   []events.Entry
		want      []string // all of these are in the error
	}{
		{"an aggregate without a name", "", nil, []string{"no name"}},
		{"an aggregate twice", "account", nil, []string{`"account"`, "twice"}},
		{"a type without a wire name", "a", []events.Entry{events.EventOf[nameless]()}, []string{`"a"`, "nameless", "no wire name"}},
		{"an event twice", "a", []events.Entry{events.EventOf[closed]()}, []string{`"a"`, `"CLOSED"`}},
		{"a wire name for two events", "a", []events.Entry{events.EventOf[imitation]()}, []string{`"PAID"`, "paid", "imitation"}},
		{"a wire name for an event and a command", "a", []events.Entry{events.CommandOf[mimic]()}, []string{`"PAID"`, "paid", "mimic"}},
		{"two states", "a", []events.Entry{events.StateOf[other](), events.StateOf[other]()}, []string{`"a"`, "second state", "other"}},
		{"the state of another aggregate", "a", []events.Entry{events.StateOf[account]()}, []string{`"a"`, "events_test.account", `"account"`}},
		{"upcasters with a gap", "a", []events.Entry{events.EventOf[fresh](events.Upcast{From: 1, Func: keep}, events.Upcast{From: 3, Func: keep})}, []string{`"FRESH"`, "from version 3", "gap"}},
		{"upcasters that do not begin at 1", "a", []events.Entry{events.EventOf[fresh](events.Upcast{From: 2, Func: keep})}, []string{`"FRESH"`, "from version 2"}},
		{"an upcaster twice", "a", []events.Entry{events.EventOf[fresh](events.Upcast{From: 1, Func: keep}, events.Upcast{From: 1, Func: keep})}, []string{`"FRESH"`, "from version 1"}},
		{"an upcaster without a function", "a", []events.Entry{events.EventOf[fresh](events.Upcast{From: 1})}, []string{`"FRESH"`, "upcaster 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantError(t, bank(t).Aggregate(tt.aggregate, tt.entries...), events.CodeConfig, tt.want...)
		})
	}
}

func TestCatalogue_Lists(t *testing.T) {
	t.Parallel()
	c := bank(t)
	if err := c.Aggregate("a"); err != nil {
		t.Fatal(err)
	}
	got := [][]string{c.Aggregates(), c.Commands(), c.Events()}
	if diff := cmp.Diff([][]string{{"a", "account"}, {"PAY"}, {"CLOSED", "PAID"}}, got); diff != "" {
		t.Errorf("aggregates, commands and events (-want +got):\n%s", diff)
	}
	typ, ok := c.Lookup("PAID")
	if !ok || typ.Name != "PAID" || typ.Aggregate != "account" || typ.Command || typ.Schema != 3 || typ.Go != reflect.TypeFor[paid]() {
		t.Errorf("the type PAID is %+v", typ)
	}
	byName, _ := c.LookupAggregate("account")
	byState, _ := c.AggregateOfState(reflect.TypeFor[account]())
	again, _ := bank(t).LookupAggregate("account") // As another process does, which uses the same snapshots.
	if byName == nil || byName != byState || byName.StateSchema == "" || byName.StateSchema != again.StateSchema {
		t.Errorf("the aggregate is %+v by its name, %+v by its state, and %+v elsewhere", byName, byState, again)
	}
	// The aggregate of a foreign producer has no state here.
	if a, ok := c.LookupAggregate("a"); !ok || a.Fold != nil {
		t.Errorf("the aggregate without a state is %+v", a)
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	first := envelope("PAID", 1, `{"amount":5}`)
	snapshot := func(v uint64, s string) events.Snapshot {
		return events.Snapshot{Version: v, State: json.RawMessage(s)}
	}
	for _, tt := range []struct {
		name     string
		snapshot events.Snapshot
		log      []events.Envelope
		want     account
		code     string // of the error, if there is one
	}{
		{"nothing has happened", events.Snapshot{}, nil, account{}, ""},
		{"from the beginning, through all schemas", events.Snapshot{}, []events.Envelope{first, envelope("PAID", 3, `{"cents":7}`), envelope("CLOSED", 1, `{}`)}, account{507, true}, ""},
		{"from a snapshot", snapshot(9, `{"cents":1000}`), []events.Envelope{first}, account{1500, false}, ""},
		{"a snapshot of version 0 is none", snapshot(0, `{"cents":1000}`), []events.Envelope{first}, account{500, false}, ""},
		{"a snapshot that does not fit", snapshot(9, `{"cents":"many"}`), []events.Envelope{first}, account{}, events.CodeUndecodable},
		{"a command among the events", events.Snapshot{}, []events.Envelope{envelope("PAY", 1, `{}`)}, account{}, events.CodeUndecodable},
		{"an event nobody registered", events.Snapshot{}, []events.Envelope{envelope("STOLEN", 1, `{}`)}, account{}, events.CodeUnknownType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := events.History{Snapshot: tt.snapshot}
			for _, e := range tt.log {
				h.Events = append(h.Events, events.Recorded{Envelope: e})
			}
			got, err := events.Fold[account](bank(t), h)
			if tt.code != "" {
				wantError(t, err, tt.code)
			} else if err != nil || got != tt.want {
				t.Errorf("folded into %+v (%v), want %+v", got, err, tt.want)
			}
		})
	}
}
