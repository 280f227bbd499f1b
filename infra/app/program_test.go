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
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
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
	cmd       *exec.Cmd
	out, errs output
	http      string
}

func (p program) start(t *testing.T, args ...string) *process {
	t.Helper()
	r := &process{cmd: p.command(t, args...)}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.errs
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // It has ended already if all went well.
		_ = r.cmd.Wait()
		if t.Failed() {
			t.Logf("%s %q\nstdout:\n%s\nstderr:\n%s", p.path, args, &r.out, &r.errs)
		}
	})
	return r
}

// dev runs the program's dev on free ports. The program that it returns reaches it.
func (p program) dev(t *testing.T, args ...string) (*process, program) {
	t.Helper()
	prefix := strings.ToUpper(filepath.Base(p.path)) + "_"
	free := p
	free.environ = append(slices.Clone(p.environ), prefix+"DEV_REDIS_ADDR=127.0.0.1:0", prefix+"HTTP_ADDR=127.0.0.1:0")
	r := free.start(t, append([]string{"dev"}, args...)...)
	found := r.out.await(t, `(?s)HTTP +http://(\S+).*Redis +redis://(\S+).*Ctrl-C ends it`)
	r.http = found[1]
	p.environ = append(slices.Clone(p.environ), prefix+"DEV_REDIS_ADDR="+found[2])
	return r, p
}

// serve runs the program's serve until every handler consumes. Its log must be JSON.
func (p program) serve(t *testing.T, args ...string) *process {
	t.Helper()
	r := p.start(t, append([]string{"serve"}, args...)...)
	r.http = r.errs.await(t, `"every handler is consuming".*"http":"([^"]+)"`)[1]
	return r
}

// stop ends the process with SIGTERM; it must exit with 0.
func (r *process) stop(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(patience, func() { _ = r.cmd.Process.Kill() })
	defer kill.Stop()
	_ = r.cmd.Wait() // How it ended is in the state.
	if code := r.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d", code)
	}
}

// get returns the status code and the body of a page.
func (r *process) get(t *testing.T, path string) (int, string) {
	t.Helper()
	return answer(t)(http.Get("http://" + r.http + path))
}

// post sends JSON.
func (r *process) post(t *testing.T, path, body string) (int, string) {
	t.Helper()
	return answer(t)(http.Post("http://"+r.http+path, "application/json", strings.NewReader(body)))
}

func answer(t *testing.T) func(*http.Response, error) (int, string) {
	t.Helper()
	return func(resp *http.Response, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
}

// output is what a process has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await returns the groups of the first match of a pattern, once there is one.
func (o *output) await(t *testing.T, pattern string) (found []string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	eventually(t, "output like "+pattern, func() bool {
		found = re.FindStringSubmatch(o.String())
		return found != nil
	})
	return found
}

// eventually asks again and again until a check holds.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(patience); !check(); {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("after %s there is no %s", patience, what)
		}
	}
}
