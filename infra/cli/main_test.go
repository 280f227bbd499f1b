package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// TestMain lets scripts call this test binary as pitwheel.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pitwheel": func() { Main(testApplication()) }})
}

// result is how one run of the command line ended.
type result struct {
	code           int
	stdout, stderr string
}

// pitwheel runs the command line with nothing on stdin.
func pitwheel(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	return pitwheelWith(t, environ, "", args...)
}

// pitwheelWith runs the command line with a text on stdin.
func pitwheelWith(t *testing.T, environ []string, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programtest.Patience)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, testApplication(), args, environ, strings.NewReader(stdin), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// ok fails the test unless the run ended with exit code 0.
func (r result) ok(t *testing.T) result {
	t.Helper()
	if r.code != exitOK {
		t.Fatalf("exit code %d\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
	}
	return r
}

// running is a dev or serve that runs in this process.
type running struct {
	out, errs *programtest.Output
	stop      context.CancelFunc
	ended     chan int
	// environ lets other commands reach it.
	environ []string
	http    string
}

// start runs dev or serve until the test ends.
func start(t *testing.T, environ []string, args ...string) *running {
	t.Helper()
	return startApp(t, testApplication(), environ, args...)
}

func startApp(t *testing.T, a app.Application, environ []string, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{out: new(programtest.Output), errs: new(programtest.Output), stop: stop, ended: make(chan int, 1)}
	go func() {
		r.ended <- run(ctx, a, args, environ, strings.NewReader(""), r.out, r.errs)
		// What waits for output learns the end from it.
		_, _ = r.out.Write([]byte("\n(it has ended)\n"))
	}()
	t.Cleanup(func() { r.end(t) })
	return r
}

// end stops it and returns its exit code. It may be called again.
func (r *running) end(t *testing.T) int {
	t.Helper()
	r.stop()
	select {
	case code := <-r.ended:
		r.ended <- code
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", r.out, r.errs)
		}
		return code
	case <-time.After(programtest.Patience):
		t.Fatalf("it did not end\nstdout:\n%s\nstderr:\n%s", r.out, r.errs)
		return -1
	}
}

// startDev runs dev on free ports and waits until it is there.
func startDev(t *testing.T, args ...string) *running {
	t.Helper()
	return startAppDev(t, testApplication(), args...)
}

func startAppDev(t *testing.T, a app.Application, args ...string) *running {
	t.Helper()
	r := startApp(t, a, []string{"PITWHEEL_DEV_REDIS_ADDR=127.0.0.1:0", "PITWHEEL_DEV_SMTP_ADDR=127.0.0.1:0", "PITWHEEL_HTTP_ADDR=127.0.0.1:0"},
		append([]string{"dev"}, args...)...)
	found := r.out.Await(t, `(?s)HTTP +http://(\S+).*Redis +redis://(\S+).*Ctrl-C ends it|it has ended`)
	if found[1] == "" {
		t.Fatalf("dev has ended\n%s\n%s", r.out, r.errs)
	}
	r.http, r.environ = found[1], []string{"PITWHEEL_DEV_REDIS_ADDR=" + found[2]}
	return r
}

// written returns the path of a new settings file with the given text.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pitwheel.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
