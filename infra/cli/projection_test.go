package cli

import (
	"encoding/json"
	"fmt"
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

func TestProjectionRebuild_Timeout(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	b.rowsOfDirectory(1)
	for _, timeout := range []string{"0", "-1s"} {
		r := pitwheel(t, b.environ, "projection", "rebuild", "user-directory", "--wait", "--timeout="+timeout).exits(t, exitUsage)
		has(t, r.stderr, "--timeout is ", "more than 0s")
	}
	pitwheel(t, b.environ, "projection", "get", "user-directory", "k00").ok(t) // Nothing was dropped.

	// Nobody runs who could replay the log.
	if _, err := b.store.Append(t.Context(), oneEvent("u", "USER_CREATED", events.NewID(), 0, poisonNumber(0).LastFailedAt)); err != nil {
		t.Fatal(err)
	}
	r := pitwheel(t, b.environ, "projection", "rebuild", "user-directory", "--wait", "--timeout=200ms", "-o", "json").exits(t, exitTimeout)
	has(t, r.stderr, `"code":"TIMEOUT"`, `"retryable":true`)
}
