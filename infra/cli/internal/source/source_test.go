package source_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/source"
)

// TestStamps_Changed changes one file after another.
func TestStamps_Changed(t *testing.T) {
	t.Parallel()
	dir, lone := t.TempDir(), filepath.Join(t.TempDir(), "script.lua")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	write(in("a.go"), "package a")
	write(lone, "return 1")
	files := []string{dir, lone, in("missing.sql")}
	for _, tt := range []struct {
		name   string
		change func()
		want   string
	}{
		{"nothing", func() {}, ""},
		{"a test", func() { write(in("a_test.go"), "package a") }, ""},
		{"a file of another kind", func() { write(in("notes.txt"), "x") }, ""},
		{"a longer file", func() { write(in("a.go"), "package a // more") }, in("a.go")},
		{"saved as it is", func() { _ = os.Chtimes(in("a.go"), time.Time{}, time.Unix(1, 0)) }, in("a.go")},
		{"a new file", func() { write(in("b.go"), "package a") }, in("b.go")},
		{"a removed file", func() { _ = os.Remove(in("b.go")) }, in("b.go")},
		{"an embedded file", func() { write(lone, "return 22") }, lone},
		{"a file that was missing", func() { write(in("missing.sql"), "x") }, in("missing.sql")},
	} {
		before := source.Look(files)
		tt.change()
		if got := before.Changed(source.Look(files)); got != tt.want {
			t.Errorf("%s: %q has changed, want %q", tt.name, got, tt.want)
		}
	}
}

// TestProgram_Files lists what this test is built from.
func TestProgram_Files(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", "..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	// Its own package is that of a test, which cannot be built.
	if _, err := source.Find(t.Context()); events.CodeOf(err) != input.CodeUsage {
		t.Errorf("got %v; want USAGE", err)
	}
	files := strings.Join(source.Of("github.com/pitwheel/pitwheel/cmd/pitwheel").Files(t.Context()), "\n") + "\n"
	for _, want := range []string{"go.mod", "cmd/pitwheel", "handlers", "events/users", "infra/redis/eventlog/append.lua"} {
		if !strings.Contains(files, filepath.Join(root, filepath.FromSlash(want))+"\n") {
			t.Errorf("it is not built from %s:\n%s", want, files)
		}
	}
	if strings.Contains(files, "watermill") {
		t.Errorf("it watches the module cache:\n%s", files)
	}
}
