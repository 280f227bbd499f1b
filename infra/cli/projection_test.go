package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/events"
)

// rowsOfDirectory stores rows of the user directory, k00 and on.
func (b *testStore) rowsOfDirectory(n int) {
	b.t.Helper()
	to := events.Cursor{1}
	commit := events.ProjectionCommit{Projection: "user-directory", To: to}
	for i := range n {
		key := fmt.Sprintf("k%02d", i)
		commit.Put = append(commit.Put, events.Row{Key: key, Data: json.RawMessage(`{"id":"` + key + `"}`)})
	}
	if err := b.store.Commit(b.t.Context(), commit); err != nil {
		b.t.Fatal(err)
	}
}

// A limited list says on stderr that there are more rows.
func TestProjectionRows_Limit(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	b.rowsOfDirectory(5)
	for _, tt := range []struct {
		args           []string
		stdout, stderr string
	}{
		{nil, `[{"id":"k00"},{"id":"k01"},{"id":"k02"},{"id":"k03"},{"id":"k04"}]`, ""},
		{[]string{"--limit", "2"}, `[{"id":"k00"},{"id":"k01"}]`, "there are more rows than these 2; go on with --after=k01\n"},
		{[]string{"--limit", "3", "--after=k01"}, `[{"id":"k02"},{"id":"k03"},{"id":"k04"}]`, ""},
	} {
		r := pitwheel(t, b.environ, append([]string{"projection", "rows", "user-directory", "-o", "json"}, tt.args...)...).ok(t)
		if r.stdout != tt.stdout+"\n" || r.stderr != tt.stderr {
			t.Errorf("%v prints %q on stdout and %q on stderr", tt.args, r.stdout, r.stderr)
		}
	}
}

// A table has the key of rows that do not show it; JSON is the rows alone.
func TestProjectionRows_Key(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		rows        []events.Row
		table, json string
	}{
		{"shown by the rows", []events.Row{{Key: "ada", Data: json.RawMessage(`{"n":1,"name":"ada"}`)}, {Key: "bob", Data: json.RawMessage(`{"n":2,"name":"bob"}`)}},
			"N  NAME\n1  ada\n2  bob\n", `[{"n":1,"name":"ada"},{"n":2,"name":"bob"}]`},
		{"not shown", []events.Row{{Key: "ada", Data: json.RawMessage(`{"orders":1,"spent":900}`)}, {Key: "bob", Data: json.RawMessage(`{"orders":2}`)}},
			"KEY  ORDERS  SPENT\nada  1       900\nbob  2\n", `[{"orders":1,"spent":900},{"orders":2}]`},
		{"shown by some rows only", []events.Row{{Key: "1", Data: json.RawMessage(`{"n":1}`)}, {Key: "2", Data: json.RawMessage(`{"n":1}`)}},
			"KEY  N\n1    1\n2    1\n", `[{"n":1},{"n":1}]`},
		{"no rows", nil, "", `[]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newTestStore(t)
			if err := b.store.Commit(t.Context(), events.ProjectionCommit{Projection: "user-directory", To: events.Cursor{1}, Put: tt.rows}); err != nil {
				t.Fatal(err)
			}
			if got := pitwheel(t, b.environ, "projection", "rows", "user-directory").ok(t).stdout; got != tt.table {
				t.Errorf("the table is\n%q, not\n%q", got, tt.table)
			}
			if got := pitwheel(t, b.environ, "projection", "rows", "user-directory", "-o", "json").ok(t).stdout; got != tt.json+"\n" {
				t.Errorf("the JSON is %s", got)
			}
			if got := pitwheel(t, b.environ, "projection", "rows", "user-directory", "-o", "yaml").ok(t).stdout; strings.Contains(got, "key:") {
				t.Errorf("the YAML is %s", got)
			}
		})
	}
}

func TestProjectionRebuild_Timeout(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	b.rowsOfDirectory(1)
	for _, timeout := range []string{"0", "-1s"} {
		r := pitwheel(t, b.environ, "projection", "rebuild", "user-directory", "--wait", "--timeout="+timeout).exits(t, exitUsage)
		has(t, r.stderr, "--timeout", "at least 1ms")
	}
	pitwheel(t, b.environ, "projection", "get", "user-directory", "k00").ok(t) // Nothing was dropped.

	// Nobody runs who could replay the log.
	if _, err := b.store.Append(t.Context(), oneEvent("u", "USER_CREATED", events.NewID(), 0, poisonNumber(0).LastFailedAt)); err != nil {
		t.Fatal(err)
	}
	r := pitwheel(t, b.environ, "projection", "rebuild", "user-directory", "--wait", "--timeout=200ms", "-o", "json").exits(t, exitTimeout)
	has(t, r.stderr, `"code":"TIMEOUT"`, `"retryable":true`)
}
