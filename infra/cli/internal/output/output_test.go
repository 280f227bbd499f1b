package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

type thing struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	Tags  any    `json:"tags,omitempty"`
}

func printed(t *testing.T, format string, print func(Printer) error) string {
	t.Helper()
	var out bytes.Buffer
	if err := print(Printer{Out: &out, Format: format}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestOne(t *testing.T) {
	t.Parallel()
	v := thing{"a<b>\x1b[1m", 3, []string{"x", "1"}}
	for format, want := range map[string]string{
		JSON:  `{"name":"a<b>\u001b[1m","count":3,"tags":["x","1"]}` + "\n",
		JSONL: `{"name":"a<b>\u001b[1m","count":3,"tags":["x","1"]}` + "\n",
		YAML:  "name: \"a<b>\\e[1m\"\ncount: 3\ntags:\n  - x\n  - \"1\"\n",
		Table: "name   \"a<b>\\u001b[1m\"\ncount  3\ntags   [\"x\",\"1\"]\n",
	} {
		if diff := cmp.Diff(want, printed(t, format, func(p Printer) error { return One(p, v) })); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format string
		list   []thing
		want   string
	}{
		{JSON, nil, "[]\n"},
		{JSON, []thing{{Name: "a"}, {Name: "b"}}, `[{"name":"a","count":0},{"name":"b","count":0}]` + "\n"},
		{JSONL, nil, ""},
		{JSONL, []thing{{Name: "a"}, {Name: "b"}}, `{"name":"a","count":0}` + "\n" + `{"name":"b","count":0}` + "\n"},
		{YAML, nil, "[]\n"},
		{YAML, []thing{{Name: "no"}}, "- name: \"no\"\n  count: 0\n"},
		{Table, []thing{{Name: "a"}, {Name: "longer"}}, "NAME    N\na       x\nlonger  x\n"},
	} {
		got := printed(t, c.format, func(p Printer) error {
			return List(p, c.list, things())
		})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s of %v: %s", c.format, c.list, diff)
		}
	}
}

// Ids and names may come from anywhere. No terminal must obey them.
func TestList_ControlCharacters(t *testing.T) {
	t.Parallel()
	got := printed(t, Table, func(p Printer) error {
		list := []thing{{Name: "a\nb\x1b[31m\u009b"}}
		err := List(p, list, things())
		p.Quiet = true
		return errors.Join(err, List(p, list, things()))
	})
	if diff := cmp.Diff("NAME       N\na b\uFFFD[31m\uFFFD  x\na b\uFFFD[31m\uFFFD\n", got); diff != "" {
		t.Error(diff)
	}
}

// Scripts leave out what only people need. Formats for programs stay as they are.
func TestList_ForScripts(t *testing.T) {
	t.Parallel()
	two := []thing{{Name: "a"}, {Name: "longer"}}
	for _, tt := range []struct {
		printer Printer
		list    []thing
		want    string
	}{
		{Printer{NoHeaders: true}, two, "a       x\nlonger  x\n"},
		{Printer{NoHeaders: true}, nil, ""},
		{Printer{NoHeaders: true, Format: JSON}, two[:1], `[{"name":"a","count":0}]` + "\n"},
		{Printer{Quiet: true}, two, "a\nlonger\n"},
		{Printer{Quiet: true}, nil, ""},
	} {
		var out bytes.Buffer
		tt.printer.Out = &out
		if err := List(tt.printer, tt.list, things()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, out.String()); diff != "" {
			t.Errorf("%+v: %s", tt.printer, diff)
		}
	}
}

// things are the columns of a list of things.
func things() Columns[thing] {
	return Columns[thing]{
		Heads: []string{"name", "n"},
		Row:   func(v thing) []any { return []any{v.Name, "x"} },
		Key:   func(v thing) string { return v.Name },
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format string
		list   []string
		want   string
	}{
		{JSON, nil, "[]\n"},
		{JSON, []string{"a", "b"}, "[\"a\",\n\"b\"]\n"},
		{JSONL, []string{"a", "b"}, "\"a\"\n\"b\"\n"},
		{YAML, nil, "[]\n"},
		{YAML, []string{"a", "b"}, "- a\n- b\n"},
		{Table, []string{"a", "b"}, "= a\n= b\n"},
	} {
		got := printed(t, c.format, func(p Printer) error {
			s := Stream[string]{Printer: p, Line: func(v string) string { return "= " + v }}
			for _, v := range c.list {
				if err := s.Put(v); err != nil {
					return err
				}
			}
			return s.Close()
		})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s of %v: %s", c.format, c.list, diff)
		}
	}
}

// TestOne_YAMLEqualsJSON compares what YAML and JSON say, for any texts.
func TestOne_YAMLEqualsJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		v := map[string]any{}
		for _, key := range rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,8}`), 0, 4).Draw(rt, "keys") {
			v[key] = rapid.OneOf(
				rapid.String().AsAny(), rapid.StringMatching(`[0-9.e:~-]{1,5}|yes|no|null|true|\[.*|#.*|- .*`).AsAny(),
				rapid.StringOfN(rapid.SampledFrom([]rune{'\t', '\n', ' ', 'a', ':'}), 0, 4, -1).AsAny(),
				rapid.Bool().AsAny(), rapid.Float64Range(-1e6, 1e6).AsAny(), rapid.SliceOf(rapid.String()).AsAny(),
			).Draw(rt, "value")
		}
		var want, got any
		text, err := json.Marshal(v)
		if err != nil {
			rt.Fatal(err)
		}
		if err := json.Unmarshal(text, &want); err != nil {
			rt.Fatal(err)
		}
		out := printed(t, YAML, func(p Printer) error { return One(p, v) })
		var fromYAML any
		if err := yaml.Unmarshal([]byte(out), &fromYAML); err != nil {
			rt.Fatalf("%v\n%s", err, out)
		}
		again, err := json.Marshal(fromYAML)
		if err != nil {
			rt.Fatal(err)
		}
		if err := json.Unmarshal(again, &got); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s", diff, out)
		}
	})
}
