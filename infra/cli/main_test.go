package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pitwheel/pitwheel/infra/app"
)

// TestMain lets scripts call this test binary as pitwheel.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pitwheel": func() { Main(testApplication()) }})
}

// patience is how long a test waits for something before it fails.
const patience = 2 * time.Minute

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
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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

// transcript keeps what a running command prints, and can be waited on.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
	news chan struct{}
}

func newTranscript() *transcript { return &transcript{news: make(chan struct{}, 1)} }

func (tr *transcript) Write(p []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	select {
	case tr.news <- struct{}{}:
	default:
	}
	return tr.text.Write(p)
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text.String()
}

// await returns the groups of the first match of a pattern, once there is one.
// One goroutine may wait at a time.
func (tr *transcript) await(t *testing.T, pattern string) []string {
	t.Helper()
	re, deadline := regexp.MustCompile(pattern), time.After(patience)
	for {
		if found := re.FindStringSubmatch(tr.String()); found != nil {
			return found
		}
		select {
		case <-tr.news:
		case <-deadline:
			t.Fatalf("nothing like %q was printed:\n%s", pattern, tr)
		}
	}
}

// running is a dev or serve that runs in this process.
type running struct {
	out, errs *transcript
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
	r := &running{out: newTranscript(), errs: newTranscript(), stop: stop, ended: make(chan int, 1)}
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
	case <-time.After(patience):
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
	found := r.out.await(t, `(?s)HTTP +http://(\S+).*Redis +redis://(\S+).*Ctrl-C ends it|it has ended`)
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
