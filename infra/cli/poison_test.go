package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/router/poison"
)

// exits fails the test unless the run ended with a code.
func (r result) exits(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.stdout, r.stderr)
	}
	return r
}

func TestPoison_ListAndShow(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	if out := b.poison("list", "-o", "json").ok(t).stdout; out != "[]\n" {
		t.Errorf("an empty store lists %s", out)
	}
	b.fill(10, func(i int, l *poison.Message) {
		if i%3 == 0 {
			l.Handler, l.Queue, l.Kind, l.Code, l.Frame = "create-user", "create-user", "command", "PANIC", "users.f f.go:1"
		}
		if i == 9 {
			l.Body, l.Stack, l.LastFailedAt = []byte("\xff\x00"), "line 1\n\tline \x1b[31m2", time.Now()
		}
	})
	table := b.poison("list").ok(t).stdout
	has(t, table, "HANDLER", "REASON", poisonNumber(1).ID, "no <mail> server", "send-welcome")
	if n := strings.Count(table, "\n"); n != 11 {
		t.Errorf("the table has %d lines:\n%s", n, table)
	}
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"--filter", "handler=send-welcome"}, 6},
		{[]string{"--handler", "send-welcome,create-user"}, 10},
		{[]string{"--filter", "handler=create-user,code=PANIC"}, 4},
		{[]string{"--code", "PANIC", "--type", "USER_CREATED", "--limit", "3"}, 3},
		{[]string{"--filter", "correlation=story", "--newer", "1h"}, 1},
		{[]string{"--older", "2026-01-24"}, 0},
		{[]string{"--older", "0s", "--filter", "key=" + poisonNumber(4).Key}, 1},
		{[]string{"--filter", "frame=users.f f.go:1"}, 4},
	} {
		got := poisonOf(t, b.poison(append([]string{"list", "-o", "jsonl"}, tt.args...)...).ok(t).stdout)
		if len(got) != tt.want {
			t.Errorf("list %v has %d messages, want %d", tt.args, len(got), tt.want)
		}
	}
	var groups []struct {
		Handler, Code string
		Messages      int
	}
	if err := json.Unmarshal([]byte(b.poison("list", "--group-by", "handler,code", "-o", "json").ok(t).stdout), &groups); err != nil {
		t.Fatal(err)
	}
	if len(groups) != 2 || groups[0].Handler != "send-welcome" || groups[0].Messages != 6 || groups[1].Code != "PANIC" || groups[1].Messages != 4 {
		t.Errorf("the groups are %+v", groups)
	}
	has(t, b.poison("list", "--group-by", "frame").ok(t).stdout, "FRAME", "users.f f.go:1")

	// show has everything, and nothing that a terminal obeys.
	shown := b.poison("show", poisonNumber(1).ID).ok(t).stdout
	has(t, shown, `"email": "u1@example.com"`, "aggregate_id: "+poisonNumber(1).Key, "attempts", "no <mail>")
	odd := poison.ID("create-user", poisonNumber(9).MessageID)
	shown = b.poison("show", odd).ok(t).stdout
	has(t, shown, "2 bytes that are not text", "ff 00", "stack:", "line 1")
	if strings.ContainsRune(shown, '\x1b') {
		t.Errorf("the terminal is told to obey: %q", shown)
	}
	if l := poisonOf(t, b.poison("show", odd, "-o", "json").ok(t).stdout); len(l) != 1 || string(l[0].Body) != "\xff\x00" || l[0].Stack == "" {
		t.Errorf("shown as JSON: %+v", l)
	}
	has(t, b.poison("show", poisonNumber(1).ID, "-o", "json").ok(t).stdout, `"name\":\"<1>\"`, `"first_failed_at":"2026-01-24T10:00:00.000Z"`)
	b.poison("show", "nobody").exits(t, exitNotFound)
}

func TestPoison_Usage(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	b.fill(3, nil)
	for _, tt := range []struct {
		args string
		says string
	}{
		{"list --filter handlr=x", `the nearest is "handler"`},
		{"list --filter handler", "name=value"},
		{"list --group-by cod", `the nearest is "code"`},
		{"list --older yesterday", `--older is "yesterday"`},
		{"list --limit -1", "--limit is -1"},
		{"retry", "needs the ids of poison messages"},
		{"retry --all --handler x", "not both"},
		{"retry x --all", "not both"},
		{"retry --all", "there is no terminal"},
		{"retry --all -y --rate fast", `--rate is "fast"`},
		{"retry --all -y --edit", "exactly one poison message"},
		{"discard --all -y", "needs --reason"},
		{"discard --all --reason r", "there is no terminal"},
		{"export -o json", "JSON lines"},
		{"import missing.jsonl", "missing.jsonl cannot be read: no such file or directory\n  hint: name a file that exists, or - for stdin"},
		{"import", "needs a file"},
		{"import .", ". is a directory"},
		{"lst", `nearest is "list"`},
	} {
		r := b.poison(strings.Fields(tt.args)...).exits(t, exitUsage)
		has(t, r.stderr, tt.says)
	}
	if n := b.count(); n != 3 {
		t.Errorf("%d messages are left", n)
	}
}

func TestPoison_Retry(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	b.fill(200, func(i int, l *poison.Message) {
		switch {
		case i < 10:
			l.Handler, l.Kind, l.Queue, l.Topic = "user-directory", "projection", "user-directory", ""
		case i < 20:
			l.Handler, l.Queue = "old", "old-queue"
		}
	})
	directory, old := poison.ID("user-directory", poisonNumber(0).MessageID), poison.ID("old", poisonNumber(10).MessageID)
	box := b.listen("notification-service")
	has(t, b.poison("retry", "--all", "--dry-run").ok(t).stdout, "send-welcome", "180", "user-directory", "old")

	has(t, b.poison("retry", directory).exits(t, exitRejected).stderr, "is of the projection user-directory", "projection rebuild user-directory")
	has(t, b.poison("retry", old, "-o", "json").exits(t, exitUnreachable).stderr, "the queue old-queue of the handler old does not exist any more", `"code":"UNHANDLED"`)
	for _, args := range [][]string{{"retry", "nobody"}, {"show", "nobody"}, {"retry", "nobody", "--edit"}} {
		has(t, b.poison(args...).exits(t, exitNotFound).stderr, "there is no poison message nobody", "poison list` has those that are there")
	}
	// What nobody knows is told before, too.
	b.poison("retry", "nobody", "--dry-run").exits(t, exitNotFound)
	has(t, b.poison("retry", "nobody", "none", "--dry-run").exits(t, exitNotFound).stderr, "there is no poison message nobody", "there is no poison message none")
	r := b.poison("discard", "nobody", old, "--dry-run", "-o", "json").exits(t, exitPartly)
	has(t, r.stdout, `"handler":"old"`)
	has(t, r.stderr, "there is no poison message nobody", "1 of 2 poison messages could not be discarded")
	one := poisonNumber(20)
	if out := b.poison("retry", one.ID, "-o", "json", "--reason", "try").ok(t).stdout; out != `{"matched":1,"done":1,"failed_again":0,"failed":0}`+"\n" {
		t.Errorf("one retry: %s", out)
	}
	r = b.poison("retry", one.ID, poisonNumber(21).ID, "-o", "json").exits(t, exitPartly)
	has(t, r.stdout, `"matched":2,"done":1,`, `"failed":1`)
	has(t, r.stderr, "there is no poison message "+one.ID, `"code":"PARTLY_DONE"`)

	r = b.poison("retry", "--all", "-y", "-o", "json").exits(t, exitPartly)
	has(t, r.stdout, `{"matched":198,"done":178,"failed_again":0,"failed":20}`)
	has(t, r.stderr, "10 × the poison message is of the projection", "10 × the queue old-queue")
	if n := b.count(); n != 20 {
		t.Errorf("%d messages are left, not 20", n)
	}
	programtest.Eventually(t, "all messages in the handler's queue", func() bool { return box.ids() == 180 })
	for i := 20; i < 200; i++ {
		l := poisonNumber(i)
		got := box.of(l.MessageID)
		if len(got) != 1 || !bytes.Equal(got[0].Payload, l.Body) || got[0].Metadata["correlation_id"] != "story" || got[0].Metadata["type"] != "USER_CREATED" || got[0].Metadata[poison.MetaRetried] != "1" {
			t.Fatalf("message %d came as %+v", i, got)
		}
	}
	// Nothing matches any more, which is not a failure.
	has(t, b.poison("retry", "--handler", "send-welcome", "-y", "-o", "json").ok(t).stdout, `"matched":0,"done":0`)
	changes := b.poison("audit", "--limit", "0", "-o", "jsonl").ok(t).stdout
	if n := strings.Count(changes, "\n"); n != 180 {
		t.Errorf("%d changes are kept", n)
	}
	has(t, changes, `"action":"retried","who":"ada@`, `"why":"try","poison_id":"`+one.ID+`","handler":"send-welcome"`)
}

// A filter that selects nothing is not a failure, and yet it may be misspelt.
func TestPoison_NothingMatches(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	b.fill(3, func(i int, l *poison.Message) {
		if i == 0 {
			l.Handler, l.Queue = "old", "old-queue" // It is not in the application any more.
		}
	})
	const none = "no poison message matches\n"
	for _, tt := range []struct{ args, stderr string }{
		{"retry -y --handler send-welcom", none + `there is no handler "send-welcom"; the nearest is "send-welcome"` + "\n"},
		{"retry -y --filter handler=send-welcom,code=INTERNAL --dry-run", none + `there is no handler "send-welcom"; the nearest is "send-welcome"` + "\n"},
		{"retry -y --handler create-user", none},
		{"retry -y --handler old --dry-run", ""},
		{"retry -y --handler old,send-welcom --dry-run", `there is no handler "send-welcom"; the nearest is "send-welcome"` + "\n"},
		{"retry -y --type USER_CREATD", none + `there is no type "USER_CREATD"; the nearest is "USER_CREATED"` + "\n"},
		{"discard -y --reason r --handler send-welcom", none + `there is no handler "send-welcom"; the nearest is "send-welcome"` + "\n"},
		{"discard -y --reason r --code PANIC", none},
		{"discard --reason r --older 2020-01-01", none},
		{"list --handler send-welcom", none + `there is no handler "send-welcom"; the nearest is "send-welcome"` + "\n"},
		{"list --handler send-welcom --group-by code", none + `there is no handler "send-welcom"; the nearest is "send-welcome"` + "\n"},
		{"list --handler old", ""},
		{"list --older 2020-01-01", none},
		{"list", ""},
		{"retry -y --handler billing", none + "there is no handler \"billing\"; there are create-user, change-user-email, deactivate-user, send-welcome, user-directory\n"},
		{"export --handler send-welcom", none + `there is no handler "send-welcom"; the nearest is "send-welcome"` + "\n"},
		{"export --newer 1d", none},
		{"export --handler old", ""},
	} {
		r := b.poison(strings.Fields(tt.args)...).ok(t)
		if r.stderr != tt.stderr {
			t.Errorf("%s says %q, not %q", tt.args, r.stderr, tt.stderr)
		}
	}
	if n := b.count(); n != 3 {
		t.Errorf("%d messages are left", n)
	}
}

// A retry that is interrupted, or killed, and run again loses nothing.
func TestPoison_RetryInterrupted(t *testing.T) {
	t.Parallel()
	const n = 600
	b := newRealTestStore(t)
	b.fill(n, nil)
	box := b.listen("notification-service")
	args := []string{"poison", "retry", "--filter", "handler=send-welcome,type=USER_CREATED", "-y", "--rate", "500/s"}
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		before := b.count()
		p := launch(t, b.environ, args...)
		programtest.Eventually(t, "some are retried", func() bool { return b.count() < before })
		p.Signal(t, s)
		if code := p.Exit(t); s == syscall.SIGINT {
			if code != exitInterrupted {
				t.Errorf("interrupted, it ended with %d", code)
			}
			has(t, p.errs.String(), "of 600 poison messages are retried", "go on with `", "poison retry --filter=handler=send-welcome,type=USER_CREATED --yes --rate=500/s`")
		}
		if left := b.count(); left == 0 || left == before {
			t.Errorf("%d of %d messages are left: nothing was interrupted", left, before)
		}
	}
	// What the one that was killed had claimed is free again within a minute.
	programtest.Eventually(t, "the rest is retried", func() bool { return pitwheel(t, b.environ, args...).code == exitOK })
	if left := b.count(); left != 0 {
		t.Errorf("%d messages are left", left)
	}
	programtest.Eventually(t, "every message in the handler's queue", func() bool { return box.ids() == n })
	for i := range n {
		if got := len(box.of(poisonNumber(i).MessageID)); got < 1 || got > 2 {
			t.Errorf("message %d came %d times", i, got)
		}
	}
}

func TestPoison_RetryWithEdit(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	b.fill(2, func(i int, l *poison.Message) {
		if i == 1 {
			l.Body = []byte(`{"id":"` + l.MessageID + `","type":"USER_CREATED","data":{`)
		}
	})
	box := b.listen("notification-service")
	edit := func(editor string, n int) result {
		t.Helper()
		b := *b
		b.environ = append(b.environ[:len(b.environ):len(b.environ)], "EDITOR="+editor, "PATH="+os.Getenv("PATH"), "TMPDIR="+t.TempDir())
		return b.poison("retry", "--edit", poisonNumber(n).ID)
	}
	b.poison("retry", "--edit", poisonNumber(0).ID).exits(t, exitUsage)
	has(t, edit("true", 0).ok(t).stderr, "nothing is changed")
	has(t, edit("sed -i s/name/name/x", 0).exits(t, exitFailed).stderr, "editing poison message")
	has(t, edit("sed -i s/{/x/", 0).exits(t, exitRejected).stderr, "is not JSON", "what you wrote is kept in")
	has(t, edit("sed -i s/6f2b1f6e/7f2b1f6e/", 0).exits(t, exitRejected).stderr, "it must stay "+poisonNumber(0).MessageID)
	has(t, edit("sed -i s/data/date/", 0).exits(t, exitRejected).stderr, `has no "data"`)
	if n := b.count(); n != 2 {
		t.Fatalf("%d messages are left", n)
	}
	edit("sed -i s/u0@example.com/mended@example.com/", 0).ok(t)
	edit(`sed -i 's/{$/{"userId":"x"}}/'`, 1).ok(t)
	programtest.Eventually(t, "the edited messages", func() bool { return box.ids() == 2 })
	want := strings.Replace(string(poisonNumber(0).Body), "u0@", "mended@", 1)
	if got := string(box.of(poisonNumber(0).MessageID)[0].Payload); got != want {
		t.Errorf("the message is %s, want %s", got, want)
	}
	if got := string(box.of(poisonNumber(1).MessageID)[0].Payload); !json.Valid([]byte(got)) {
		t.Errorf("the mended message is %s", got)
	}
	changes := b.poison("audit", "-o", "jsonl").ok(t).stdout
	if strings.Count(changes, `"action":"edited"`) != 2 || strings.Count(changes, `"action":"retried"`) != 2 {
		t.Errorf("the audit trail is %s", changes)
	}
}

func TestPoison_Discard(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	b.fill(70, func(i int, l *poison.Message) {
		if i >= 66 {
			l.Code = "KEEP"
		}
	})
	has(t, b.poison("discard", "--code", "INTERNAL", "--dry-run", "-o", "jsonl").ok(t).stdout, `{"handler":"send-welcome","code":"INTERNAL","messages":66,`)
	has(t, b.poison("discard", poisonNumber(0).ID, "--reason", "a test", "-o", "json").ok(t).stdout, `"done":1`)
	has(t, b.poison("discard", "--code", "INTERNAL", "--reason", "two\nlines", "-y").ok(t).stdout, "done          65")
	if n := b.count(); n != 4 {
		t.Errorf("%d messages are left, not 4", n)
	}
	has(t, b.poison("audit").ok(t).stdout, "discarded", "a test", "two lines", "ada@")
}

func TestPoison_ExportAndImport(t *testing.T) {
	t.Parallel()
	from, to := newTestStore(t), newTestStore(t)
	from.fill(150, func(i int, l *poison.Message) {
		if i == 0 {
			l.Body = []byte("\xff\xfe <&>\u2028")
		}
		l.Failures = i + 1
	})
	file := filepath.Join(t.TempDir(), "messages.jsonl")
	exported := from.poison("export", "--handler", "send-welcome").ok(t).stdout
	if err := os.WriteFile(file, []byte(exported), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := to.poison("import", file, "-o", "json", "--reason", "moved").ok(t).stdout; out != `{"read":150,"imported":150,"present":0,"failed":0}`+"\n" {
		t.Errorf("the import: %s", out)
	}
	if again := to.poison("export").ok(t).stdout; again != exported {
		t.Errorf("what is imported differs from what was exported:\n%.500s\n%.500s", again, exported)
	}
	bad := strings.Join([]string{
		strings.SplitAfter(exported, "\n")[0],
		`{"id":"x"}`,
		"no JSON",
		strings.Replace(strings.SplitAfter(exported, "\n")[1], `"handler":"send-welcome"`, `"handler":"other"`, 1),
		from.poison("list", "--limit", "1", "-o", "jsonl").ok(t).stdout,
	}, "\n")
	r := pitwheelWith(t, to.environ, bad, "poison", "import", "-", "-o", "json").exits(t, exitPartly)
	has(t, r.stdout, `{"read":5,"imported":0,"present":1,"failed":4}`)
	has(t, r.stderr, "line 4: it is not a poison message", "the poison message for message", "an export does not")
	pitwheelWith(t, to.environ, "{}\n", "poison", "import", "-").exits(t, exitRejected)
	has(t, to.poison("audit", "--limit", "1", "-o", "json").ok(t).stdout, `"action":"imported"`, `"why":"moved"`)
}

func TestPoison_ManyMessages(t *testing.T) {
	t.Parallel()
	const n = 20_000
	b := newRealTestStore(t)
	b.fill(n, nil)
	seen := map[string]bool{}
	for _, l := range poisonOf(t, b.poison("list", "-o", "jsonl").ok(t).stdout) {
		seen[l.ID] = true
	}
	if len(seen) != n {
		t.Errorf("%d messages are listed, not %d", len(seen), n)
	}
	has(t, b.poison("list", "--group-by", "code", "-o", "jsonl").ok(t).stdout, fmt.Sprintf(`{"code":"INTERNAL","messages":%d,`, n))
	has(t, b.poison("discard", "--all", "-y", "--reason", "done", "-o", "json").ok(t).stdout, fmt.Sprintf(`"matched":%d,"done":%d,`, n, n))
}
