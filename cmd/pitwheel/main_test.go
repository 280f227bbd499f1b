package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pitwheel/pitwheel/infra/programtest"
)

// TestMain lets scripts and processes call this test binary as pitwheel.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pitwheel": main})
}

// process is a pitwheel that runs as a process of its own.
type process struct {
	*programtest.Process
	environ []string // lets other commands reach it
	http    string
}

// startDev runs dev on free ports, until the test ends, and waits for its screen.
func startDev(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Process: programtest.Start(t, &exec.Cmd{Path: self, Args: append([]string{"pitwheel", "dev"}, args...), Env: []string{
		"PATH=" + os.Getenv("PATH"), "PITWHEEL_DEV_REDIS_ADDR=127.0.0.1:0", "PITWHEEL_DEV_SMTP_ADDR=127.0.0.1:0", "PITWHEEL_HTTP_ADDR=127.0.0.1:0",
	}})}
	found := p.Stdout.Await(t, `(?s)HTTP +http://(\S+).*Redis +redis://(\S+).*Ctrl-C ends it`)
	p.http, p.environ = found[1], []string{"PITWHEEL_DEV_REDIS_ADDR=" + found[2]}
	return p
}

// TestDev looks at the first screen of the reference application, and at what follows.
func TestDev(t *testing.T) {
	t.Parallel()
	began := time.Now()
	dev := startDev(t, "--rate", "50/s")
	dev.Stdout.Await(t, `event +USER_CREATED v1`)
	t.Logf("first event after %s", time.Since(began))
	screen, _, _ := strings.Cut(dev.Stdout.String(), "Ctrl-C ends it")
	for _, want := range []string{"nothing is durable", "create-user", "change-user-email", "deactivate-user", "send-welcome", "user-directory", "send CREATE_USER -f email=", "event tail", "projection rows "} {
		if !strings.Contains(screen, want) {
			t.Errorf("the start does not say %q:\n%s", want, screen)
		}
	}
	for _, pattern := range []string{`mail +grace.hopper@example.com`, `row +user-directory`, `event +USER_EMAIL_CHANGED v\d+`, `event +USER_DEACTIVATED`, `rejected +user \S+ +[A-Z_]+: `} {
		dev.Stdout.Await(t, pattern)
	}
	if code := dev.Stop(t); code != 0 {
		t.Errorf("the exit code is %d", code)
	}
	if text := dev.Stderr.String(); text != "" {
		t.Errorf("stderr has %s", text)
	}
}
