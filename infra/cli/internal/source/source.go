// Package source builds the running program again from its source, and finds out which of
// its files have changed.
package source

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
)

// Program is a program whose source is in the module of the current directory.
type Program struct {
	pkg   string
	flags []string
}

// Of returns the program of a package.
func Of(pkg string) *Program { return &Program{pkg: pkg} }

// Find finds the source of this process. An error has the code USAGE.
func Find(ctx context.Context) (*Program, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path == "" || info.Path == "command-line-arguments" {
		return nil, input.Usagef("the program does not know its package, and cannot be built again").
			WithHint("build it by package rather than by file: go build -o bin/ . or ./cmd/NAME")
	}
	if _, err := exec.LookPath("go"); err != nil {
		return nil, input.Usagef("the go command is not there, and builds the program again: %w", err).WithHint("install Go, or leave out --watch")
	}
	p := Of(info.Path)
	for _, s := range info.Settings {
		if s.Key == "-tags" || s.Key == "-race" {
			p.flags = append(p.flags, s.Key+"="+s.Value)
		}
	}
	if out, err := exec.CommandContext(ctx, "go", "list", p.pkg).CombinedOutput(); err != nil {
		return nil, input.Usagef("the source of %s is not in the module of the current directory: %s", p.pkg, strings.TrimSpace(string(out))).
			WithHint("start it in the directory of its module, or leave out --watch")
	}
	return p, nil
}

// Build builds the program. What the compiler says is in the output.
func (p *Program) Build(ctx context.Context, binary string) (output []byte, err error) {
	args := append([]string{"build", "-o", binary}, p.flags...)
	return exec.CommandContext(ctx, "go", append(args, p.pkg)...).CombinedOutput()
}

// list prints, of each package that is not in the module cache, the directory and what is
// embedded, and the go.mod of its module.
const list = `{{with .Module}}{{if or .Main (and .Replace (not .Replace.Version))}}{{$.Dir}}
{{.GoMod}}{{range $.EmbedFiles}}
{{$.Dir}}/{{.}}{{end}}{{end}}{{end}}`

// Files returns the directories and files that the program is built from, as far as they
// can be changed.
func (p *Program) Files(ctx context.Context) []string {
	args := append([]string{"list", "-e", "-deps", "-f", list}, p.flags...)
	// What an error leaves out is found after the next build.
	out, _ := exec.CommandContext(ctx, "go", append(args, p.pkg)...).Output()
	var files []string
	for line := range bytes.Lines(out) {
		if name := strings.TrimSpace(string(line)); name != "" {
			files = append(files, filepath.FromSlash(name))
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// Stamps are files, and what tells one state of a file from another.
type Stamps map[string]string

// Look returns the state of files, and of the Go files in directories.
func Look(files []string) Stamps {
	s := Stamps{}
	for _, name := range files {
		info, err := os.Stat(name)
		switch {
		case err != nil: // It is gone, which is a state, too.
		case !info.IsDir():
			s.add(name, info)
		default:
			entries, _ := os.ReadDir(name)
			for _, e := range entries {
				if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
					s.add(filepath.Join(name, e.Name()), info)
				}
			}
		}
	}
	return s
}

func (s Stamps) add(name string, info os.FileInfo) {
	s[name] = fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}

// Changed returns a file that differs, relative to the current directory if it is in there;
// "" if none does.
func (s Stamps) Changed(now Stamps) string {
	for _, all := range []Stamps{now, s} {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if s[name] == now[name] {
				continue
			}
			if wd, err := os.Getwd(); err == nil {
				if rel, err := filepath.Rel(wd, name); err == nil && !strings.HasPrefix(rel, "..") {
					return rel
				}
			}
			return name
		}
	}
	return ""
}
