package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme_AddAHandler adds the handler of the README's section "Add a handler in five
// minutes" to the module, word for word: it compiles, its test passes, and no other test
// of the reference application fails. The compiler reads the files from an overlay, so
// that nothing is written into the checkout.
func TestReadme_AddAHandler(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the reference application again: run without -short")
	}
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, section, _ := strings.Cut(read("README.md"), "\n## Add a handler in five minutes\n")
	section, _, _ = strings.Cut(section, "\n## ")

	dir, replaced := t.TempDir(), map[string]string{}
	for _, block := range regexp.MustCompile("(?s)`(handlers/\\w+\\.go)`[^`]*:\n\n```go\n(.*?)```").FindAllStringSubmatch(section, -1) {
		name, text := block[1], block[2]
		if name == "handlers/handlers.go" {
			text = withLine(t, read(name), text)
		}
		path := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[filepath.Join(root, name)] = path
	}
	if len(replaced) != 3 {
		t.Fatalf("the section has the files %v, want the handler, the table of contents and the test", replaced)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"vet", "-overlay", list, "./..."},
		{"test", "-overlay", list, "-run", "TestConfirmEmail", "-v", "./handlers"},
		{"test", "-overlay", list, "-skip", t.Name(), "./handlers", "./cmd/pitwheel"},
	} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		if args[len(args)-2] == "-v" && !strings.Contains(string(out), "--- PASS: TestConfirmEmail") {
			t.Errorf("the test of the README did not run:\n%s", out)
		}
	}
}

// withLine adds a line after the last one of the table of contents, unless it is there:
// whoever has followed the README has it.
func withLine(t *testing.T, table, line string) string {
	t.Helper()
	if strings.Contains(table, line) {
		return table
	}
	const end = "\t}\n}\n"
	before, found := strings.CutSuffix(table, end)
	if !found {
		t.Fatalf("handlers/handlers.go does not end with %q", end)
	}
	return before + line + end
}
