package events_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pitwheel/pitwheel/events"
)

// pay is a command with fields of every kind.
type pay struct {
	Account string    `json:"account" doc:"whose money it is"`
	Cents   int       `json:"cents"`
	Urgent  bool      `json:"urgent"`
	To      payee     `json:"to,omitzero"`
	Due     time.Time `json:"due,omitzero"`
	Texts   []string  `json:"texts,omitempty"`
	Limit   *int8     `json:"limit,omitempty"`
	Plain   string
	Kept    string `json:"-"`
	own     string
}

type payee struct {
	Name string `json:"name"`
}

func (pay) CommandType() string   { return "PAY" }
func (p pay) AggregateID() string { return p.Account }

func (p pay) Validate() error {
	if p.own != "" || p.Kept != "" || p.Cents < 0 {
		return events.Invalid("cents", "must not be negative")
	}
	return nil
}

func TestType_Fields(t *testing.T) {
	t.Parallel()
	typ, _ := bank(t).Lookup("PAY")
	want := []events.Field{
		{Name: "account", Kind: "string", Required: true, Doc: "whose money it is"},
		{Name: "cents", Kind: "number", Required: true},
		{Name: "urgent", Kind: "boolean", Required: true},
		{Name: "to", Kind: "object"},
		{Name: "due", Kind: "string"},
		{Name: "texts", Kind: "array"},
		{Name: "limit", Kind: "number"},
		{Name: "Plain", Kind: "string", Required: true},
	}
	if diff := cmp.Diff(want, typ.Fields()); diff != "" {
		t.Errorf("other fields than declared (-want +got):\n%s", diff)
	}
}

func TestCatalogue_ParseCommand(t *testing.T) {
	t.Parallel()
	least := pay{Account: "1", Cents: 5}
	limit := int8(7)
	for _, tt := range []struct {
		name, data string
		want       pay
	}{
		{"without what is optional", `{"account":"1","cents":5,"urgent":false,"Plain":""}`, least},
		{"with spaces and in another order", ` { "Plain" : "", "urgent":false, "cents":5, "account":"1" } `, least},
		{"what is optional may be null", `{"account":"1","cents":5,"urgent":false,"Plain":"","to":null,"due":null,"texts":null,"limit":null}`, least},
		{"what is empty is there", `{"account":"","cents":0,"urgent":false,"Plain":""}`, pay{}},
		{
			"with all fields",
			`{"account":"1","cents":5,"urgent":true,"Plain":"p","to":{"name":"Ada"},"due":"2026-11-24T10:00:00Z","texts":["a","b"],"limit":7}`,
			pay{
				Account: "1", Cents: 5, Urgent: true, Plain: "p", To: payee{"Ada"}, Due: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
				Texts: []string{"a", "b"}, Limit: &limit,
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := bank(t).ParseCommand("PAY", json.RawMessage(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(events.Command(tt.want), got, cmp.AllowUnexported(pay{})); diff != "" {
				t.Errorf("read as something else (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCatalogue_ParseCommand_WrongField(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		member, text string // a member, and its value; none: it is left out
		field        string
		want         string // is in the message
	}{
		{"missing", "account", ``, "account", "is missing"},
		{"null", "cents", `null`, "cents", "is missing"},
		{"missing, and its name is the Go name", "Plain", ``, "Plain", "limit (optional)"},
		{"extra", "cent", `5`, "cent", "is not a field of PAY"},
		{"in other letters", "Account", `"2"`, "Account", "is not a field"},
		{"kept from the wire", "Kept", `"x"`, "Kept", "is not a field"},
		{"unexported", "own", `"x"`, "own", "is not a field"},
		{"no name", "", `1`, "", "is not a field"},
		{"a string for a number", "cents", `"5"`, "cents", "must be a number, not a string"},
		{"a number for a string", "account", `1`, "account", "must be a string, not a number"},
		{"a number for a boolean", "urgent", `1`, "urgent", "must be a boolean, not a number"},
		{"a list for an object", "to", `["Ada"]`, "to", "object, not a"},
		{"an object for a list", "texts", `{}`, "texts", "array, not a"},
		{"a fraction for a whole number", "cents", `1.5`, "cents", "not 1.5"},
		{"a misspelt field within an object", "to", `{"zipp":"1"}`, "to", `unknown field "zipp"`},
		{"within an object", "to", `{"name":1}`, "to.name", "must be a string, not a number"},
		{"within a list", "texts", `["a",1]`, "texts", "must be a string, not a number"},
		{"too large for its field", "limit", `300`, "limit", "300"},
		{"a fraction for a whole number", "cents", `1.5`, "cents", "1.5"},
		{"what the command itself says", "cents", `-1`, "cents", "must not be negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := map[string]json.RawMessage{"account": []byte(`"1"`), "cents": []byte(`5`), "urgent": []byte(`false`), "Plain": []byte(`""`)}
			delete(data, tt.member)
			if tt.text != "" {
				data[tt.member] = json.RawMessage(tt.text)
			}
			body, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			cmd, err := bank(t).ParseCommand("PAY", body)
			r, ok := events.AsRejection(err)
			if cmd != nil || !ok {
				t.Fatalf("%s is taken for %+v (%v), want a rejection", body, cmd, err)
			}
			if r.Code != events.CodeInvalid || r.Field != tt.field || !strings.Contains(r.Message, tt.want) {
				t.Errorf("rejected with %+v, want %s about %q that says %q", r, events.CodeInvalid, tt.field, tt.want)
			}
		})
	}
}

// A field that is misspelt is also missing under its right name.
func TestCatalogue_ParseCommand_MisspeltField(t *testing.T) {
	t.Parallel()
	_, err := bank(t).ParseCommand("PAY", json.RawMessage(`{"acount":"1","cents":5,"urgent":false,"Plain":""}`))
	if r, ok := events.AsRejection(err); !ok || r.Field != "acount" || !strings.Contains(r.Message, "is not a field of PAY") {
		t.Errorf("it says %v", err)
	}
}

func TestCatalogue_ParseCommand_NotAnObject(t *testing.T) {
	t.Parallel()
	for _, data := range []string{``, ` `, `null`, `true`, `5`, `"text"`, `[]`, `[{}]`, `{`, `{"account":}`, `{} {}`} {
		cmd, err := bank(t).ParseCommand("PAY", json.RawMessage(data))
		if r, ok := events.AsRejection(err); !ok || r.Code != events.CodeInvalid || r.Field != "" || cmd != nil || !strings.Contains(r.Message, "must hold account") {
			t.Errorf("%q is taken for %+v (%v), want a rejection that says what it must hold", data, cmd, err)
		}
	}
}

func TestCatalogue_ParseCommand_UnknownType(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "STEAL", "pay", "PAID"} { // The last one is an event.
		cmd, err := bank(t).ParseCommand(name, json.RawMessage(`{}`))
		var e *events.Error
		if !errors.As(err, &e) || cmd != nil {
			t.Fatalf("%q is taken for %+v (%v)", name, cmd, err)
		}
		if e.Code != events.CodeUnknownType || !strings.Contains(e.Hint, "PAY") {
			t.Errorf("%q is refused with %+v, want a hint at what there is", name, e)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add("PAY", []byte(`{"account":"1","cents":5,"urgent":false,"Plain":""}`))
	f.Add("PAY", []byte(`{"account":"1","cents":5,"urgent":true,"Plain":"","to":{"name":"Ada"},"due":"2026-11-24T10:00:00+01:00","texts":["a"],"limit":7}`))
	f.Add("PAY", []byte(`{"account":"1","cents":5,"urgent":false,"Plain":"","to":{"Name":"\ud800"},"texts":[],"due":"0001-01-01T00:00:00Z","cents":6}`))
	f.Add("PAY", []byte(`{"account":null,"cents":"5","x":1}`))
	f.Add("PAY", []byte(`null`))
	f.Add("STEAL", []byte(`{}`))
	c := bank(f)
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		cmd, err := c.ParseCommand(name, data)
		if err != nil {
			code := events.CodeOf(err)
			if r, ok := events.AsRejection(err); ok {
				code = r.Code
			}
			if !slices.Contains([]string{events.CodeInvalid, events.CodeUnknownType}, code) {
				t.Fatalf("refused with the code %s: %v", code, err)
			}
			return
		}
		body, err := json.Marshal(cmd)
		if err != nil {
			t.Fatalf("what was read from %s cannot be written: %v", data, err)
		}
		again, err := c.ParseCommand(name, body)
		if err != nil {
			t.Fatalf("%s was read and written as %s, which is refused: %v", data, body, err)
		}
		if diff := cmp.Diff(cmd, again, cmp.AllowUnexported(pay{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s comes back as something else (-before +after):\n%s", body, diff)
		}
	})
}

// wantError says what code an error has, and what it tells.
func wantError(t *testing.T, err error, code string, texts ...string) {
	t.Helper()
	if got := events.CodeOf(err); err == nil || got != code {
		t.Fatalf("the error is %v (%s), want one with the code %s", err, got, code)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}
