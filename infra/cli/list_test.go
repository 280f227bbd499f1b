package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
)

// Scripts get ids and names alone, and tables without heads.
func TestLists_ForScripts(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	b.fill(2, nil)
	b.rowsOfDirectory(2)
	at := time.Date(2026, 1, 24, 10, 0, 0, 0, time.UTC)
	if _, err := b.store.Append(t.Context(), oneEvent("ada", "USER_CREATED", "6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0001", 0, at)); err != nil {
		t.Fatal(err)
	}
	first, second := poisonNumber(0).ID, poisonNumber(1).ID
	newestFirst := strings.Fields(b.poison("list", "-o", "jsonl", "-q=false").ok(t).stdout)
	if len(newestFirst) == 0 || !strings.Contains(newestFirst[0], second) {
		first, second = second, first
	}
	for _, tt := range []struct {
		command, want, withoutHeads string
	}{
		{"handler list", "create-user\nchange-user-email\ndeactivate-user\nsend-welcome\nuser-directory\n", "create-user        active "},
		{"projection list", "user-directory\n", "user-directory  USER_CREATED"},
		{"projection rows user-directory", "k00\nk01\n", "k00\nk01\n"},
		{"poison list", second + "\n" + first + "\n", second + "  send-welcome"},
		{"event list", "6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0001\n", "2026-01-24T10:00:00.000Z  USER_CREATED"},
		{"aggregate history user ada", "6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0001\n", "1  2026-01-24T10:00:00.000Z  USER_CREATED"},
	} {
		args := strings.Fields(tt.command)
		if got := pitwheel(t, b.environ, append(args, "-q")...).ok(t).stdout; got != tt.want {
			t.Errorf("%s -q prints %q, not %q", tt.command, got, tt.want)
		}
		if got := pitwheel(t, b.environ, append(args, "--no-headers")...).ok(t).stdout; !strings.HasPrefix(got, tt.withoutHeads) {
			t.Errorf("%s --no-headers prints %q", tt.command, got)
		}
		r := pitwheel(t, b.environ, append(args, "-q", "-o", "json")...).exits(t, exitUsage)
		has(t, r.stderr, `"code":"USAGE"`, "-q prints plain lines")
	}
	r := b.poison("list", "-q", "--group-by", "code").exits(t, exitUsage)
	has(t, r.stderr, "leave out one of them")
	b.poison("discard", first, "--reason", "r").ok(t)
	if got := b.poison("audit", "-q").ok(t).stdout; got != first+"\n" {
		t.Errorf("poison audit -q prints %q", got)
	}
}

// A watched list is printed again, separated by a blank line, until a signal ends it.
func TestList_Watch(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	for _, tt := range []struct{ command, first, again string }{
		{"projection list", "", `(?s)NAME .*\nuser-directory [^\n]*\n\nNAME .*\nuser-directory `},
		{"projection rows user-directory -o json", "", `(?s)\[\]\n\n\[\]\n`},
		{"event list", "", `(?s)TIMESTAMP [^\n]*\n\nTIMESTAMP `},
		{"poison list -o yaml", "", `(?s)\[\]\n---\n\[\]\n`},
		{"handler list -q", "", `(?s)create-user\n.*user-directory\n\ncreate-user\n`},
	} {
		t.Run(tt.command, func(t *testing.T) {
			t.Parallel()
			p := launch(t, b.environ, append(strings.Fields(tt.command), "--watch=10ms")...)
			p.out.Await(t, tt.again)
			p.Signal(t, syscall.SIGINT)
			if code := p.Exit(t); code != exitInterrupted {
				t.Errorf("the exit code is %d: %s", code, p.errs)
			}
		})
	}
	r := pitwheel(t, b.environ, "projection", "list", "--watch=0s").exits(t, exitUsage)
	has(t, r.stderr, "--watch", "at least 1ms")
	r = pitwheel(t, b.environ, "projection", "list", "--watch=soon").exits(t, exitUsage)
	has(t, r.stderr, "--watch", "must be a duration")
	for _, args := range []string{"projection list --watch 5s", "projection rows user-directory --watch 5s"} {
		r = pitwheel(t, b.environ, strings.Fields(args)...).exits(t, exitUsage)
		has(t, r.stderr, "hint: the pause belongs to the flag: --watch=10s")
	}
}

// What is watched is what is there now: rows, and settings of the file.
func TestList_WatchChanges(t *testing.T) {
	t.Parallel()
	b := newTestStore(t)
	p := launch(t, b.environ, "projection", "rows", "user-directory", "-o", "json", "--watch=10ms")
	p.out.Await(t, `\[\]`)
	b.rowsOfDirectory(1)
	p.out.Await(t, `\[\{"id":"k00"\}\]`)

	file := written(t, "handlers: {}\n")
	p = launch(t, b.environ, "handler", "list", "--config", file, "--watch=10ms")
	p.out.Await(t, `send-welcome +active`)
	rewrite(t, file, "handlers: {send-welcome: {paused: true}}\n")
	p.out.Await(t, `send-welcome +PAUSED \(file\)`)
	rewrite(t, file, "handlers: {send-welcom: {paused: true}}\n")
	if code := p.Exit(t); code != exitUsage {
		t.Errorf("the exit code is %d", code)
	}
	has(t, p.errs.String(), `the nearest is "send-welcome"`)
}

// On a terminal each list replaces the one before. What is said about a list follows it.
func TestWatch_Terminal(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	c := &cli{stdout: &screen, stderr: &screen, terminal: true}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rounds := 0
	err := c.watch(ctx, time.Millisecond, func() error {
		switch rounds++; rounds {
		case 3:
			cancel()
			fallthrough
		default:
			_, _ = c.stderr.Write([]byte("a note\n"))
			_, _ = c.stdout.Write([]byte("a list\n"))
			return nil
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if diff := cmp.Diff(strings.Repeat("\x1b[H\x1b[Ja list\na note\n", 2), screen.String()); diff != "" {
		t.Error(diff)
	}
	screen.Reset()
	failed := events.Errorf(events.CodeUnavailable, "gone")
	if err := c.watch(t.Context(), time.Millisecond, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("it ended with %v", err)
	}
	if screen.Len() > 0 {
		t.Errorf("for an error alone the screen gets %q", &screen)
	}
}
