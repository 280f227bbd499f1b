package router

import (
	"encoding/json"
	"testing"
)

type open struct {
	Account string            `json:"account"`
	Limit   *int              `json:"limit"`
	Tags    map[string]string `json:"tags"`
	Raw     json.RawMessage   `json:"raw"`
	Any     any               `json:"any"`
}

func (open) CommandType() string { return "OPEN" }
func (open) AggregateID() string { return "1" }

// openNow is the same command after a release has added a field and moved another.
type openNow struct {
	Limit    *int              `json:"limit"`
	Currency string            `json:"currency"`
	Raw      json.RawMessage   `json:"raw"`
	Any      any               `json:"any"`
	Tags     map[string]string `json:"tags"`
	Account  string            `json:"account"`
}

func (openNow) CommandType() string { return "OPEN" }
func (openNow) AggregateID() string { return "1" }

func TestCommandHash(t *testing.T) {
	t.Parallel()
	hashAs := func(cmd interface {
		CommandType() string
		AggregateID() string
	}, data string,
	) string {
		if err := json.Unmarshal([]byte(data), cmd); err != nil {
			t.Fatal(err)
		}
		return commandHash(cmd)
	}
	const data = `{"account":"a","tags":{"b":"1","a":"2"},"raw":{"y":[1, 2],"x":90071992547409931},"any":{"d":1,"c":2}}`
	want := hashAs(&open{}, data)
	if want == "" {
		t.Fatal("it has no hash")
	}
	for _, same := range []string{
		`{ "any":{"c":2.0,"d":1},"raw":{"x":90071992547409931,"y":[1,2]}, "tags":{"a":"2","b":"1"},"account":"\u0061","limit":null,"more":1}`,
	} {
		if got := hashAs(&open{}, same); got != want {
			t.Errorf("%s has another hash", same)
		}
	}
	if got := hashAs(&openNow{}, data); got != want {
		t.Error("after the release it has another hash")
	}
	for _, other := range []string{
		`{"account":"A","tags":{"b":"1","a":"2"},"raw":{"y":[1,2],"x":90071992547409931},"any":{"d":1,"c":2}}`,
		`{"account":"a","tags":{"b":"1"},"raw":{"y":[1,2],"x":90071992547409931},"any":{"d":1,"c":2}}`,
		`{"account":"a","tags":{"b":"1","a":"2"},"raw":{"y":[2,1],"x":90071992547409931},"any":{"d":1,"c":2}}`,
		`{"account":"a","tags":{"b":"1","a":"2"},"raw":{"y":[1,2],"x":90071992547409930},"any":{"d":1,"c":2}}`,
		`{"account":"a","tags":{"b":"1","a":"2"},"raw":{"y":[1,2],"x":90071992547409931},"any":{"d":1,"c":2},"limit":0}`,
	} {
		if got := hashAs(&open{}, other); got == want {
			t.Errorf("%s has the same hash", other)
		}
	}
}

func BenchmarkCommandHash(b *testing.B) {
	limit := 7
	cmd := open{Account: "0190f3c2-0000-7000-8000-00000000ada0", Limit: &limit, Tags: map[string]string{"email": "ada@example.com"}}
	b.ReportAllocs()
	for b.Loop() {
		_ = commandHash(cmd)
	}
}
