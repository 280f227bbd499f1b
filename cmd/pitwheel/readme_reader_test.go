package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/infra/programtest"
)

// reader follows the README: a copy of the repository, and the program that was started last.
type reader struct {
	t       *testing.T // of the whole README: a program outlives its section
	tmp     string     // has the folder of the copy, pitwheel
	environ []string
	program *programtest.Process
	http    string // where the program is reached
	reach   string // a script of exports with which commands reach it
}

// newReader copies the repository. Settings in the environment of the test are not passed on.
func newReader(t *testing.T, root string) *reader {
	t.Helper()
	r := &reader{t: t, tmp: t.TempDir(), environ: []string{"GOWORK=off"}}
	if err := copyTree(root, r.clone()); err != nil {
		t.Fatal(err)
	}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PITWHEEL_") && !strings.HasPrefix(kv, "SHOP_") {
			r.environ = append(r.environ, kv)
		}
	}
	return r
}

// clone is the folder of the copy.
func (r *reader) clone() string { return filepath.Join(r.tmp, "pitwheel") }

// copyTree copies what belongs to the repository.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case rel == ".git" && !d.IsDir(): // A worktree's is a file.
			return nil
		case rel == ".git" || rel == "bin":
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
}

// start starts a program in place of the one that runs, and waits until it is ready. It
// serves on free ports.
func (r *reader) start(t *testing.T, script, line string) {
	t.Helper()
	r.stop(t)
	for _, name := range []string{"HTTP_ADDR", "DEV_REDIS_ADDR", "DEV_SMTP_ADDR"} {
		script += fmt.Sprintf("export PITWHEEL_%[1]s=127.0.0.1:0 SHOP_%[1]s=127.0.0.1:0\n", name)
	}
	if strings.HasPrefix(line, "./shop ") { // It has no mail, and a setting without an owner is an error.
		script += "unset SHOP_DEV_SMTP_ADDR\n"
	}
	cmd := exec.CommandContext(r.t.Context(), "bash", "-c", script+"exec "+line)
	cmd.Env = r.environ
	r.program = programtest.Start(r.t, cmd)
	if serves.MatchString(line) {
		r.http = r.program.Stderr.Await(t, `"every handler is consuming".*"http":"([^"]+)"`)[1]
		return
	}
	found := r.program.Stdout.Await(t, `(?s)HTTP +http://(\S+).*Redis +redis://(\S+).*Ctrl-C ends it`)
	r.http, r.reach = found[1], fmt.Sprintf("export PITWHEEL_DEV_REDIS_ADDR=%[1]s SHOP_DEV_REDIS_ADDR=%[1]s\n", found[2])
}

// stop ends the program that runs, which must succeed.
func (r *reader) stop(t *testing.T) {
	t.Helper()
	if r.program == nil {
		return
	}
	if code := r.program.Stop(t); code != 0 {
		t.Errorf("%q exits with %d\n%s", r.program.Cmd.Args, code, r.program.Stderr)
	}
	r.program, r.http, r.reach = nil, "", ""
}

// serves matches serve among the programs that run until they are stopped.
var serves = regexp.MustCompile(`^\S*/\w+ serve\b`)

// expectations returns what must be printed for a block of output: a pattern for each line,
// in which words with digits, such as ids, times and addresses, stand for any word.
func expectations(output string) []string {
	var out []string
	for line := range strings.Lines(output) {
		words := strings.Fields(line)
		for i, w := range words {
			if words[i] = regexp.QuoteMeta(w); strings.ContainsAny(w, "0123456789") {
				words[i] = `\S+`
			}
		}
		if len(words) > 0 {
			out = append(out, strings.Join(words, `\s+`))
		}
	}
	return out
}
