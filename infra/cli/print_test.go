package cli

import (
	"bytes"
	"encoding/json"
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

func printed(t *testing.T, format string, print func(printer) error) string {
	t.Helper()
	var out bytes.Buffer
	if err := print(printer{out: &out, format: format}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPrintOne(t *testing.T) {
	t.Parallel()
	v := thing{"a<b>\x1b[1m", 3, []string{"x", "1"}}
	for format, want := range map[string]string{
		formatJSON:  `{"name":"a<b>\u001b[1m","count":3,"tags":["x","1"]}` + "\n",
		formatJSONL: `{"name":"a<b>\u001b[1m","count":3,"tags":["x","1"]}` + "\n",
		formatYAML:  "name: \"a<b>\\e[1m\"\ncount: 3\ntags:\n  - x\n  - \"1\"\n",
		formatTable: "name   \"a<b>\\u001b[1m\"\ncount  3\ntags   [\"x\",\"1\"]\n",
	} {
		if diff := cmp.Diff(want, printed(t, format, func(p printer) error { return printOne(p, v) })); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
}

func TestPrintList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format string
		list   []thing
		want   string
	}{
		{formatJSON, nil, "[]\n"},
		{formatJSON, []thing{{Name: "a"}, {Name: "b"}}, `[{"name":"a","count":0},{"name":"b","count":0}]` + "\n"},
		{formatJSONL, nil, ""},
		{formatJSONL, []thing{{Name: "a"}, {Name: "b"}}, `{"name":"a","count":0}` + "\n" + `{"name":"b","count":0}` + "\n"},
		{formatYAML, nil, "[]\n"},
		{formatYAML, []thing{{Name: "no"}}, "- name: \"no\"\n  count: 0\n"},
		{formatTable, []thing{{Name: "a"}, {Name: "longer"}}, "NAME    N\na       x\nlonger  x\n"},
	} {
		got := printed(t, c.format, func(p printer) error {
			return printList(p, c.list, column[thing]{"name", func(v thing) string { return v.Name }}, column[thing]{"n", func(thing) string { return "x" }})
		})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s of %v: %s", c.format, c.list, diff)
		}
	}
}

// Ids and names may come from anywhere. No terminal obeys them.
func TestPrint_ControlCharacters(t *testing.T) {
	t.Parallel()
	got := printed(t, formatTable, func(p printer) error {
		return printList(p, []string{"a\nb\x1b[31m\u009b"}, column[string]{"name", func(s string) string { return s }})
	})
	if diff := cmp.Diff("NAME\na b\uFFFD[31m\uFFFD\n", got); diff != "" {
		t.Error(diff)
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format string
		list   []string
		want   string
	}{
		{formatJSON, nil, "[]\n"},
		{formatJSON, []string{"a", "b"}, "[\"a\",\n\"b\"]\n"},
		{formatJSONL, []string{"a", "b"}, "\"a\"\n\"b\"\n"},
		{formatYAML, nil, "[]\n"},
		{formatYAML, []string{"a", "b"}, "- a\n- b\n"},
		{formatTable, []string{"a", "b"}, "= a\n= b\n"},
	} {
		got := printed(t, c.format, func(p printer) error {
			s := stream[string]{p: p, line: func(v string) string { return "= " + v }}
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

// TestPrint_YAMLEqualsJSON compares what YAML and JSON say, for any texts.
func TestPrint_YAMLEqualsJSON(t *testing.T) {
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
		out := printed(t, formatYAML, func(p printer) error { return printOne(p, v) })
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
