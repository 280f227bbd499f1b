package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/infra/programtest"
)

// goTool runs the go command in a module and returns its output.
func goTool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// program is an application that a test has built, and the environment it runs in.
type program struct {
	path    string
	environ []string
}

func (p program) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.path, args...)
	cmd.Dir = filepath.Dir(p.path) // "Try next" is then as in the README.
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, p.environ...)
	return cmd
}

// exits runs the program until it ends with the given exit code, and returns what it has
// printed.
func (p program) exits(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := p.command(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%s %s exits with %d, not %d\nstdout: %s\nstderr: %s", filepath.Base(p.path), strings.Join(args, " "), got, code, &out, &errs)
	}
	return out.String(), errs.String()
}

// run runs the program until it ends well, and returns its stdout.
func (p program) run(t *testing.T, args ...string) string {
	t.Helper()
	out, _ := p.exits(t, 0, args...)
	return out
}

// runJSON runs the program with JSON as its output format, and decodes its stdout.
func runJSON[T any](t *testing.T, p program, args ...string) (out T) {
	t.Helper()
	text := p.run(t, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%q prints %s: %v", args, text, err)
	}
	return out
}

// process is a program that runs in the background until the test ends.
type process struct {
	*programtest.Process
	http string
}

func (p program) start(t *testing.T, args ...string) *process {
	t.Helper()
	return &process{Process: programtest.Start(t, p.command(t, args...))}
}

// dev runs the program's dev on free ports. The program that it returns reaches it.
func (p program) dev(t *testing.T, args ...string) (*process, program) {
	t.Helper()
	prefix := strings.ToUpper(filepath.Base(p.path)) + "_"
	free := p
	free.environ = append(slices.Clone(p.environ), prefix+"DEV_REDIS_ADDR=127.0.0.1:0", prefix+"HTTP_ADDR=127.0.0.1:0")
	r := free.start(t, append([]string{"dev"}, args...)...)
	found := r.Stdout.Await(t, `(?s)HTTP +http://(\S+).*Redis +redis://(\S+).*Ctrl-C ends it`)
	r.http = found[1]
	p.environ = append(slices.Clone(p.environ), prefix+"DEV_REDIS_ADDR="+found[2])
	return r, p
}

// serve runs the program's serve until every handler consumes. Its log must be JSON.
func (p program) serve(t *testing.T, args ...string) *process {
	t.Helper()
	r := p.start(t, append([]string{"serve"}, args...)...)
	r.http = r.Stderr.Await(t, `"every handler is consuming".*"http":"([^"]+)"`)[1]
	return r
}

// stop ends the process with SIGTERM; it must exit with 0.
func (r *process) stop(t *testing.T) {
	t.Helper()
	if code := r.Stop(t); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d", code)
	}
}

// get returns the status code and the body of a page.
func (r *process) get(t *testing.T, path string) (int, string) {
	t.Helper()
	return programtest.Get(t, "http://"+r.http+path)
}

// post sends JSON.
func (r *process) post(t *testing.T, path, body string) (int, string) {
	t.Helper()
	resp, err := http.Post("http://"+r.http+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
