package json_test

import (
	"bytes"
	stdjson "encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events/json"
)

type row struct {
	ID      string             `json:"id"`
	Count   int                `json:"count,omitempty"`
	At      time.Time          `json:"at"`
	Tags    []string           `json:"tags"`
	Sizes   map[string]float64 `json:"sizes,omitempty"`
	Nested  *row               `json:"nested,omitempty"`
	Raw     stdjson.RawMessage `json:"raw,omitempty"`
	Untaged string
}

// What one library writes, the other reads, and both write the same.
func TestMarshal_LikeEncodingJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := row{
			ID: rapid.String().Draw(t, "id"), Count: rapid.Int().Draw(t, "count"), Untaged: rapid.String().Draw(t, "untaged"),
			At:   time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "at")).UTC(),
			Tags: rapid.SliceOf(rapid.String()).Draw(t, "tags"), Sizes: rapid.MapOf(rapid.String(), rapid.Float64Range(-1e9, 1e9)).Draw(t, "sizes"),
			Raw: stdjson.RawMessage(`{"a": [1, 2]}`), Nested: &row{ID: "<&>"},
		}
		want, err := stdjson.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Fatalf("written otherwise than by encoding/json (-want +got):\n%s", diff)
		}
		var a, b row
		if err := stdjson.Unmarshal(want, &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(want, &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("read otherwise than by encoding/json (-want +got):\n%s", diff)
		}
	})
}

// Readable JSON is what encoding/json writes without escaping for HTML.
func TestMarshalReadable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := map[string]any{
			rapid.String().Draw(t, "key"): rapid.String().Draw(t, "value"), "row": &row{ID: "<&>"},
			"raw": stdjson.RawMessage(`{"a": ["<\u003c\ud83d\ude00", 1.50]}`), "bytes": []byte("a<b"),
		}
		var want bytes.Buffer
		enc := stdjson.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(in); err != nil {
			t.Fatal(err)
		}
		got, err := json.MarshalReadable(in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), string(got)+"\n"); diff != "" {
			t.Fatalf("written otherwise than by encoding/json (-want +got):\n%s", diff)
		}
	})
}

func TestUnmarshal_WrongInput(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `{`, `{"id":1}`, `[]`, `{"at":"yesterday"}`, "{\"id\":\"\xff\"}x"} {
		var a, b row
		want, got := stdjson.Unmarshal([]byte(text), &a), json.Unmarshal([]byte(text), &b)
		if (want == nil) != (got == nil) {
			t.Errorf("%q: encoding/json says %v, this package %v", text, want, got)
		}
	}
}
