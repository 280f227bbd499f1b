package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{events.Errorf(events.CodeInternal, "x"), 1},
		{input.Usagef("x"), 2},
		{events.Errorf(events.CodeConfig, "x"), 2},
		{events.Errorf(events.CodeNotFound, "x"), 5},
		{events.Reject("USER_EXISTS", "x"), 6},
		{fmt.Errorf("wrapped: %w", events.Invalid("email", "x")), 6},
		{events.Errorf(events.CodeConflict, "x"), 7},
		{events.Reject(events.CodeConflict, "x"), 7},
		{events.Errorf(events.CodeUnavailable, "x"), 8},
		{events.Errorf(events.CodeUnhandled, "x"), 8},
		{events.Errorf(events.CodeUnknownType, "x"), 8},
		{events.Errorf(events.CodeTimeout, "x"), 124},
		{context.DeadlineExceeded, 124},
		{fmt.Errorf("wrapped: %w", context.Canceled), 130},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v ends with %d, not %d", c.err, got, c.want)
		}
	}
}

func TestPrintError(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("around: %w", events.Errorf(events.CodeUnavailable, "gone").WithHint("wait").MayRetry())
	for format, want := range map[string]string{
		output.JSON:  `{"error":{"code":"UNAVAILABLE","message":"around: gone","hint":"wait","retryable":true}}` + "\n",
		output.JSONL: `{"error":{"code":"UNAVAILABLE","message":"around: gone","hint":"wait","retryable":true}}` + "\n",
		output.Table: "pitwheel: around: gone\n  hint: wait\n",
		"nonsense":   "pitwheel: around: gone\n  hint: wait\n",
	} {
		var out bytes.Buffer
		printError(&out, "pitwheel", format, err)
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
}

func TestErrorFormat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "table"}, {[]string{"x", "-o", "json"}, "json"}, {[]string{"-ojson"}, "json"}, {[]string{"-o=jsonl"}, "jsonl"},
		{[]string{"--output=yaml"}, "yaml"}, {[]string{"--output", "json"}, "json"}, {[]string{"-o"}, "table"}, {[]string{"--", "-o", "json"}, "table"},
		{[]string{"-yo", "json"}, "json"}, {[]string{"-yojson"}, "json"}, {[]string{"-yo=json"}, "json"}, {[]string{"-y", "json"}, "table"},
		{[]string{"-o", "yaml", "-ojson"}, "json"}, {[]string{"--output=json", "-o", "table"}, "table"}, {[]string{"-o", "json", "-o"}, "json"},
		{[]string{"-ojson", "-fname=o"}, "json"}, {[]string{"-f", "-oyaml", "-ojson"}, "json"}, {[]string{"-n5", "-d", "-o"}, "table"}, {[]string{"-ojson", "--only", "x", "-"}, "json"},
	} {
		if got := errorFormat(c.args); got != c.want {
			t.Errorf("%q gives %q, not %q", c.args, got, c.want)
		}
	}
}

// Which shorthands take a value is known to errorFormat without parsing.
func TestValueShorthands(t *testing.T) {
	t.Parallel()
	d, err := app.Define(testApplication())
	if err != nil {
		t.Fatal(err)
	}
	c := &cli{Definition: d}
	found := map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		note := func(f *pflag.Flag) {
			if f.Shorthand != "" && f.NoOptDefVal == "" {
				found[f.Shorthand] = true
			}
		}
		cmd.Flags().VisitAll(note)
		cmd.PersistentFlags().VisitAll(note)
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	root, err := c.root()
	if err != nil {
		t.Fatal(err)
	}
	walk(root)
	if got := strings.Join(slices.Sorted(maps.Keys(found)), ""); got != valueShorthands {
		t.Errorf("the shorthands %q take a value, not %q", got, valueShorthands)
	}
}
