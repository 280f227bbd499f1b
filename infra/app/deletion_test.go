package app_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestWithoutReferenceApplication deletes the reference application in a copy of the
// module: the framework builds, and its tests compile and pass. Only tests that are fast
// run there.
func TestWithoutReferenceApplication(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the whole module: run without -short")
	}
	t.Parallel()
	root := moduleRoot(t)
	if _, err := os.Stat(filepath.Join(root, "handlers")); err != nil {
		t.Skip("there is no reference application")
	}
	dir := t.TempDir()
	if err := copyModule(root, dir); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"vet", "./..."},
		{"test", "-short", "./events/...", "./router/...", "./infra/app", "./infra/settings", "./infra/httpapi", "./infra/mail", "./infra/deploy", "./infra/telemetry", "./cmd/..."},
	} {
		goTool(t, dir, args...)
	}
}

// copyModule copies a module without the reference application.
func copyModule(from, to string) error {
	deleted := map[string]bool{filepath.Join("events", "users"): true, "handlers": true, filepath.Join("cmd", "pitwheel"): true, ".git": true}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case deleted[rel] && d.IsDir():
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular() || rel == ".git":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, 0o600)
	})
}
