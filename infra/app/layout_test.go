package app_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/pitwheel/pitwheel"

// importRule says what the packages of one folder may import of this module.
type importRule struct {
	folder string
	may    []string
	// bare: besides that, only the standard library, google/uuid and the JSON library.
	bare bool
}

// importRules returns the import rules of the module: events ← router ← handlers, and
// router ← infra ← cmd. The first rule whose folder matches counts.
func importRules() []importRule {
	return []importRule{
		{folder: "events", may: []string{"events"}, bare: true},
		{folder: "router", may: []string{"events", "router"}},
		{folder: "handlers", may: []string{"events", "router", "handlers"}},
		{folder: "infra", may: []string{"events", "router", "infra"}},
		{folder: "cmd", may: []string{"events", "router", "handlers", "infra", "cmd"}},
	}
}

// TestImports guards the import rules over the whole module.
func TestImports(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		seen++
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		checkImports(t, path, filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Errorf("only %d files were looked at; is %s the module's root?", seen, root)
	}
}

func checkImports(t *testing.T, path, rel string) {
	t.Helper()
	i := slices.IndexFunc(importRules(), func(r importRule) bool { return strings.HasPrefix(rel, r.folder+"/") })
	if i < 0 {
		t.Errorf("%s is in a folder without import rules", rel)
		return
	}
	r := importRules()[i]
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Errorf("%s: %v", rel, err)
		return
	}
	for _, spec := range f.Imports {
		name, _ := strconv.Unquote(spec.Path.Value) // The parser has seen to it.
		inner, ours := strings.CutPrefix(name, modulePath+"/")
		if ours {
			if folder, _, _ := strings.Cut(inner, "/"); !slices.Contains(r.may, folder) {
				t.Errorf("%s imports %s; %s may import only %s", rel, name, r.folder, strings.Join(r.may, ", "))
			}
			continue
		}
		first, _, _ := strings.Cut(name, "/")
		// A path whose first element has a dot is not in the standard library. Tests may use
		// test libraries.
		if r.bare && strings.Contains(first, ".") && name != "github.com/google/uuid" && !strings.HasPrefix(name, "github.com/go-json-experiment/json") && !strings.HasSuffix(rel, "_test.go") {
			t.Errorf("%s imports %s; %s may use only the standard library, google/uuid and the JSON library", rel, name, r.folder)
		}
	}
}

// TestTop guards what stands at the top of the repository.
func TestTop(t *testing.T) {
	t.Parallel()
	allowed := []string{"cmd", "events", "handlers", "infra", "router", "docker-compose.yml", "go.mod", "go.sum", "README.md"}
	entries, err := os.ReadDir(moduleRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".test" || ext == ".out" || ext == ".prof" {
			continue // Left behind by a build or profile, and ignored by git.
		}
		if e.Name() == "bin" {
			continue // The README builds into it; ignored by git.
		}
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s stands at the top; only %s and dotfiles do", e.Name(), strings.Join(allowed, ", "))
		}
	}
}

// TestPackagesAreDescribed requires a package comment of every package.
func TestPackagesAreDescribed(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	described := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		described[filepath.Dir(path)] = described[filepath.Dir(path)] || f.Doc.Text() != ""
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range described {
		if !ok {
			t.Errorf("the package in %s has no package comment", dir)
		}
	}
}

// moduleRoot is the folder of go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("there is no go.mod above this test")
		}
		dir = parent
	}
}
