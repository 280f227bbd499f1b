package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts and processes call this test binary as pitwheel.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pitwheel": main})
}

// patience is how long a test waits for something before it fails.
const patience = 2 * time.Minute

// process is a pitwheel that runs as a process of its own.
type process struct {
	cmd       *exec.Cmd
	out, errs output
	environ   []string // lets other commands reach it
	http      string
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
func (o *output) await(t *testing.T, pattern string) []string {
	t.Helper()
	re, deadline := regexp.MustCompile(pattern), time.After(patience)
	for {
		if found := re.FindStringSubmatch(o.String()); found != nil {
			return found
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("nothing like %q was printed:\n%s", pattern, o)
		}
	}
}

// startDev runs dev on free ports, until the test ends, and waits for its screen.
func startDev(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{}
	p.cmd = &exec.Cmd{Path: self, Args: append([]string{"pitwheel", "dev"}, args...), Stdout: &p.out, Stderr: &p.errs, Env: []string{
		"PATH=" + os.Getenv("PATH"), "PITWHEEL_DEV_REDIS_ADDR=127.0.0.1:0", "PITWHEEL_DEV_SMTP_ADDR=127.0.0.1:0", "PITWHEEL_HTTP_ADDR=127.0.0.1:0",
	}}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // It has ended already if all went well.
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", &p.out, &p.errs)
		}
	})
	found := p.out.await(t, `(?s)HTTP +http://(\S+).*Redis +redis://(\S+).*Ctrl-C ends it`)
	p.http, p.environ = found[1], []string{"PITWHEEL_DEV_REDIS_ADDR=" + found[2]}
	return p
}

// stop ends it in good order and returns the exit code.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait() // How it ended is in the state.
	return p.cmd.ProcessState.ExitCode()
}

// TestDev looks at the first screen of the reference application, and at what follows.
func TestDev(t *testing.T) {
	t.Parallel()
	began := time.Now()
	dev := startDev(t, "--rate", "50/s")
	dev.out.await(t, `event +USER_CREATED v1`)
	t.Logf("first event after %s", time.Since(began))
	screen, _, _ := strings.Cut(dev.out.String(), "Ctrl-C ends it")
	for _, want := range []string{"nothing is durable", "create-user", "change-user-email", "deactivate-user", "send-welcome", "user-directory", "send CREATE_USER -f email=", "event tail", "projection rows "} {
		if !strings.Contains(screen, want) {
			t.Errorf("the start does not say %q:\n%s", want, screen)
		}
	}
	for _, pattern := range []string{`mail +grace.hopper@example.com`, `row +user-directory`, `event +USER_EMAIL_CHANGED v\d+`, `event +USER_DEACTIVATED`, `rejected +user \S+ +[A-Z_]+: `} {
		dev.out.await(t, pattern)
	}
	if code := dev.stop(t); code != 0 {
		t.Errorf("the exit code is %d", code)
	}
	if text := dev.errs.String(); text != "" {
		t.Errorf("stderr has %s", text)
	}
}
