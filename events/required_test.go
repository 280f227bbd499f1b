package events_test

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
)

type street struct {
	Street string `json:"street"`
	Zip    string `json:"zip,omitempty"`
}

type stamp struct {
	At time.Time `json:"at"`
}

// shipped is an event with fields of every kind.
type shipped struct {
	stamp
	ID     string            `json:"id"`
	Weight float64           `json:"weight"`
	To     street            `json:"to"`
	Back   street            `json:"back,omitzero"`
	Via    *street           `json:"via"`
	Tags   []string          `json:"tags"`
	Lines  []street          `json:"lines,omitempty"`
	Names  map[string]street `json:"names,omitempty"`
	Parts  []shipped         `json:"parts,omitempty"`
	Any    any               `json:"any,omitempty"`
	Note   string            `json:"note,omitempty"`
	Money  money             `json:"money,omitempty"`
	Plain  int
	Kept   string `json:"-"`
}

func (shipped) EventType() string { return "SHIPPED" }

// money reads its JSON itself.
type money struct{ Cents int }

func (m *money) UnmarshalText([]byte) error  { return nil }
func (m money) MarshalText() ([]byte, error) { return []byte("1.00"), nil }

func shippedType(t testing.TB) *events.Type {
	t.Helper()
	c := events.NewCatalogue()
	if err := c.Aggregate("parcel", events.EventOf[shipped]()); err != nil {
		t.Fatal(err)
	}
	typ, _ := c.Lookup("SHIPPED")
	return typ
}

func TestType_MissingField(t *testing.T) {
	t.Parallel()
	const whole = `"at":"2026-11-24T09:08:07Z","id":"1","weight":1,"to":{"street":"s"},"tags":[],"Plain":0`
	for _, tt := range []struct{ name, data, want string }{
		{"nothing is missing", `{` + whole + `}`, ""},
		{"unknown fields are allowed", `{"x":{"y":[1,{"z":"}"}]},` + whole + `,"w":"\"}"}`, ""},
		{"with spaces", " { \"at\" : \"2026-11-24T09:08:07Z\" ,\n\"id\":\"1\",\"weight\" : -1.5e3 , \"to\" : { \"street\" : \"s\" } , \"tags\" : [ ] , \"Plain\" : 0 } ", ""},
		{"in other letters, as they are decoded", `{"AT":"2026-11-24T09:08:07Z","Id":"1","WEIGHT":1,"To":{"STREET":"s"},"tags":[],"plain":0}`, ""},
		{"an escaped name", `{` + `"at":"2026-11-24T09:08:07Z","\u0069d":"1","weight":1,"to":{"street":"s"},"tags":[],"Plain":0}`, ""},
		{"a list may be null", `{"at":"2026-11-24T09:08:07Z","id":"1","weight":1,"to":{"street":"s"},"tags":null,"Plain":0}`, ""},
		{"nothing at all", `{}`, "id"},
		{"other data", `{"foo":1}`, "id"},
		{"null for a string", `{"id":null,"at":"2026-11-24T09:08:07Z","weight":1,"to":{"street":"s"},"tags":[],"Plain":0}`, "id"},
		{"null for an object", `{"to":null,"at":"2026-11-24T09:08:07Z","id":"1","weight":1,"tags":[],"Plain":0}`, "to"},
		{"a list is missing", `{"at":"2026-11-24T09:08:07Z","id":"1","weight":1,"to":{"street":"s"},"Plain":0}`, "tags"},
		{"a field with its Go name", `{"at":"2026-11-24T09:08:07Z","id":"1","weight":1,"to":{"street":"s"},"tags":[]}`, "Plain"},
		{"a field of an embedded struct", `{"id":"1","weight":1,"to":{"street":"s"},"tags":[],"Plain":0}`, "at"},
		{"within a field", `{"to":{},` + `"at":"2026-11-24T09:08:07Z","id":"1","weight":1,"tags":[],"Plain":0}`, "to.street"},
		{"within one that is optional", `{` + whole + `,"back":{"zip":"1"}}`, "back.street"},
		{"within one behind a pointer", `{` + whole + `,"via":{"zip":"1"}}`, "via.street"},
		{"null behind a pointer", `{` + whole + `,"via":null}`, ""},
		{"within an element", `{` + whole + `,"lines":[{"street":"s"},{"zip":"1"}]}`, "lines[1].street"},
		{"within a map", `{` + whole + `,"names":{"a":{"street":"s"},"b":{}}}`, "names.b.street"},
		{"within itself", `{` + whole + `,"parts":[{` + whole + `,"parts":[{}]}]}`, "parts[0].parts[0].id"},
		{"a type that reads itself", `{` + whole + `,"money":{}}`, ""},
		{"a type of which nothing is known", `{` + whole + `,"any":{}}`, ""},
		{"data that are no object are left to the decoder", `[1]`, ""},
		{"so is an object for a list", `{` + whole + `,"lines":{"street":"s"}}`, ""},
		{"and a list for an object", `{` + whole + `,"back":[{}]}`, ""},
		{"and what is not JSON", `{"id":`, ""},
		{"and nothing", ``, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := shippedType(t).MissingField(json.RawMessage(tt.data)); got != tt.want {
				t.Errorf("of %s the field %q is missing, want %q", tt.data, got, tt.want)
			}
		})
	}
}

// Whatever Go writes of a type, nothing of it is missing.
func TestType_MissingField_OwnData(t *testing.T) {
	t.Parallel()
	typ := shippedType(t)
	streets := rapid.Custom(func(t *rapid.T) street {
		return street{rapid.String().Draw(t, "street"), rapid.String().Draw(t, "zip")}
	})
	rapid.Check(t, func(t *rapid.T) {
		e := shipped{
			ID: rapid.String().Draw(t, "id"), To: streets.Draw(t, "to"), Lines: rapid.SliceOf(streets).Draw(t, "lines"),
			Tags: rapid.SliceOf(rapid.String()).Draw(t, "tags"), Names: rapid.MapOf(rapid.String(), streets).Draw(t, "names"),
		}
		if rapid.Bool().Draw(t, "nested") {
			via := streets.Draw(t, "via")
			e.Via, e.Parts = &via, []shipped{e}
		}
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if field := typ.MissingField(data); field != "" {
			t.Fatalf("of %s the field %q is missing", data, field)
		}
	})
}

func FuzzMissingField(f *testing.F) {
	f.Add([]byte(`{"at":"2026-11-24T09:08:07Z","id":"1","to":{"street":"s"},"lines":[{"street":"s"}],"names":{"a":{}}}`))
	f.Add([]byte(`{"id":"\"","tags":[}`))
	f.Add([]byte(`{"a":{"b":[{"c":"\\"}]} , }`))
	typ := shippedType(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var members map[string]json.RawMessage
		field := typ.MissingField(data)
		if err := json.Unmarshal(data, &members); err == nil && members != nil && field == "" && members["id"] == nil && len(members) == 0 {
			t.Fatalf("nothing is missing in %s", data)
		}
	})
}

func BenchmarkType_MissingField(b *testing.B) {
	typ := shippedType(b)
	data := json.RawMessage(`{"at":"2026-11-24T09:08:07Z","id":"0190f3c2-0000-7000-8000-00000000ada0","weight":1,"to":{"street":"a street"},"tags":["a","b"],"Plain":0}`)
	b.ReportAllocs()
	for b.Loop() {
		if typ.MissingField(data) != "" {
			b.Fatal("a field is missing")
		}
	}
}
