package events

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const someID = "0190f3c2-0000-7000-8000-00000000ada0"

func TestEncode(t *testing.T) {
	t.Parallel()
	e := Envelope{
		Header: Header{ID: someID, Type: "USER_CREATED", Timestamp: time.Date(2026, 11, 24, 9, 8, 7, 6_500_000, time.FixedZone("", 3600)), Aggregate: "user", Version: 3},
		Data:   json.RawMessage(`{"userId":"1"}`),
	}
	want := `{"id":"` + someID + `","type":"USER_CREATED","timestamp":"2026-11-24T08:08:07.006Z","data":{"userId":"1"}}`
	if diff := cmp.Diff(want, string(Encode(e))); diff != "" {
		t.Errorf("another body (-want +got):\n%s", diff)
	}
}

func TestDecode_ForeignBodies(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 9, 8, 7, 6_000_000, time.UTC)
	full := Envelope{Header: Header{ID: someID, Type: "T", Timestamp: at, SchemaVersion: 1}, Data: json.RawMessage(`{"a":1}`)}
	for _, tt := range []struct {
		name, body string
		beside     Header
		want       Envelope
	}{
		{"as we write it", `{"id":"` + someID + `","type":"T","timestamp":"2026-11-24T09:08:07.006Z","data":{"a":1}}`, Header{}, full},
		{"in another order, with spaces and more members", ` { "data" : {"a":1}, "more": [1], "type":"T", "timestamp":"2026-11-24T10:08:07.006+01:00", "id":"` + someID + `" } `, Header{}, full},
		{"more behind the data", `{"id":"` + someID + `","type":"T","timestamp":"2026-11-24T09:08:07.006Z","data":{"a":1},"x":{}}`, Header{}, full},
		{"escaped texts", `{"id":"` + someID + `","type":"\u0054","timestamp":"2026-11-24T09:08:07.006Z","data":{"a":1}}`, Header{}, full},
		{"an upper-case id", `{"id":"` + strings.ToUpper(someID) + `","type":"T","timestamp":"2026-11-24T09:08:07.006Z","data":{"a":1}}`, Header{}, full},
		{"the time in milliseconds", `{"id":"` + someID + `","type":"T","timestamp":1795511287006,"data":{"a":1}}`, Header{}, full},
		{"all in the headers", `{"data":{"a":1}}`, full.Header, full},
		{"an id that is not a UUID", `{"id":"order-7","type":"T","data":{"a":1}}`, Header{}, Envelope{Header: Header{ID: "order-7", Type: "T", SchemaVersion: 1}, Data: full.Data}},
		{"an id that is a number", `{"id":7,"type":"T","data":{"a":1}}`, Header{}, Envelope{Header: Header{ID: "7", Type: "T", SchemaVersion: 1}, Data: full.Data}},
		{"no id at all", `{"type":"T","data":{"a":1}}`, Header{}, Envelope{Header: Header{Type: "T", SchemaVersion: 1}, Data: full.Data}},
		{"an id too long to show", `{"id":"` + strings.Repeat("x", 256) + `","type":"T","data":{"a":1}}`, Header{}, Envelope{Header: Header{ID: NormalizeID(strings.Repeat("x", 256)), Type: "T", SchemaVersion: 1}, Data: full.Data}},
		{"an id with a line break", `{"id":"a\nb","type":"T","data":{"a":1}}`, Header{}, Envelope{Header: Header{ID: NormalizeID("a\nb"), Type: "T", SchemaVersion: 1}, Data: full.Data}},
		{"data that is not an object", `{"id":"` + someID + `","type":"T","data":"text"}`, Header{}, Envelope{Header: Header{ID: someID, Type: "T", SchemaVersion: 1}, Data: json.RawMessage(`"text"`)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode([]byte(tt.body), tt.beside)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("read as something else (-want +got):\n%s", diff)
			}
		})
	}
}

// What @nestjs/microservices sends, as emit and as send.
func TestDecode_NestEnvelope(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 9, 8, 7, 0, time.UTC)
	data := json.RawMessage(`{"a":1}`)
	queued := Header{ID: "m-1", Type: "send-welcome"} // Published straight into a queue, the routing key is its name.
	for _, tt := range []struct {
		name, body string
		beside     Header
		want       Envelope
	}{
		{"an event", `{"pattern":"T","data":{"a":1}}`, queued, Envelope{Header{ID: "m-1", Type: "T", SchemaVersion: 1}, data}},
		{"no headers", `{"pattern":"T","data":{"a":1}}`, Header{}, Envelope{Header{Type: "T", SchemaVersion: 1}, data}},
		{"a request", `{"pattern":{"cmd":"T","role":"r"},"data":{"a":1},"id":"5f3bcf1e2a9c01c1d8a4e"}`, queued, Envelope{Header{ID: "m-1", Type: "T", SchemaVersion: 1}, data}},
		{"a request whose id is a UUID", `{"pattern":{"cmd":"T"},"data":{"a":1},"id":"` + someID + `"}`, queued, Envelope{Header{ID: someID, Type: "T", SchemaVersion: 1}, data}},
		{"a pattern with another member", `{"data":{"a":1},"pattern":{"event":"T"}}`, queued, Envelope{Header{ID: "m-1", Type: "T", SchemaVersion: 1}, data}},
		{"a pattern that names no type", `{"pattern":{"a":1},"data":{"a":1}}`, queued, Envelope{Header{ID: "m-1", Type: "send-welcome", SchemaVersion: 1}, data}},
		{"our form within", `{"pattern":"P","data":{"id":"` + someID + `","type":"T","timestamp":"2026-11-24T09:08:07.000Z","data":{"a":1}}}`, queued,
			Envelope{Header{ID: someID, Type: "T", Timestamp: at, SchemaVersion: 1}, data}},
		{"data that only resemble our form", `{"pattern":"T","data":{"type":"x","data":1,"more":2}}`, queued,
			Envelope{Header{ID: "m-1", Type: "T", SchemaVersion: 1}, json.RawMessage(`{"type":"x","data":1,"more":2}`)}},
		{"a pattern in our form", `{"id":"i","type":"T","pattern":"P","data":{"a":1}}`, queued, Envelope{Header{ID: "i", Type: "T", SchemaVersion: 1}, data}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode([]byte(tt.body), tt.beside)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("read as something else (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecode_Undecodable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, want string }{
		{"nothing", ``, "not a JSON object"},
		{"broken", `{"id":`, "not a JSON object"},
		{"not an object", `[1]`, "not a JSON object"},
		{"no type", `{"data":{}}`, "no type"},
		{"no data", `{"type":"T"}`, `no "data"`},
		{"data null", `{"type":"T","data":null}`, `no "data"`},
		{"a type that is an object", `{"type":{},"data":{}}`, `"type"`},
		{"an id that is a list", `{"type":"T","id":[],"data":{}}`, `"id"`},
		{"a time that is none", `{"type":"T","timestamp":"yesterday","data":{}}`, `"timestamp"`},
		{"a time beyond all years", `{"type":"T","timestamp":1e300,"data":{}}`, `"timestamp"`},
		{"more after the end", `{"type":"T","data":{}} {}`, "not a JSON object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Decode([]byte(tt.body), Header{})
			if CodeOf(err) != CodeUndecodable || !IsPermanent(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v (%s), want one about %s", err, CodeOf(err), tt.want)
			}
		})
	}
}

func TestDecode_Encoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data, _ := json.Marshal(rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "data"))
		want := Envelope{Data: data, Header: Header{
			ID: NewID(), Type: rapid.StringMatching(`[A-Za-zäß"\\ _]{1,20}`).Draw(t, "type"), SchemaVersion: 1,
			Timestamp: time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "ms")).UTC(),
		}}
		got, err := Decode(Encode(want), Header{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("another envelope (-want +got):\n%s", diff)
		}
	})
}

// The short way must never read anything else than the general one.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"` + someID + `","type":"T","timestamp":"2026-11-24T09:08:07.006Z","data":{"a":1}}`))
	f.Add([]byte(`{"id":"` + someID + `","type":"T","timestamp":"2026-11-24T09:08:07.006Z","data":{"a":"}"},"x":{}}`))
	f.Add([]byte(`{"type":"T","data":{}}`))
	f.Add([]byte(`{"id":"x","type":1,"timestamp":0,"data":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := Decode(body, Header{})
		want, wantErr := decodeAny(body, Header{})
		if wantErr != nil {
			// The short way leaves it to the data's decoder to find broken data.
			if err == nil && json.Valid(got.Data) {
				t.Fatalf("read %+v from what is unreadable: %v", got, wantErr)
			}
			return
		}
		if err != nil {
			t.Fatalf("refused what can be read: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("the two ways differ (-general +short):\n%s", diff)
		}
	})
}
