package main

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts plays what needs no service.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Cmds: scriptCommands()})
}

// TestScripts_Dev plays what is typed in a second terminal beside dev.
func TestScripts_Dev(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--sample=false")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/dev", Cmds: scriptCommands(),
		Setup: func(e *testscript.Env) error {
			for _, kv := range dev.environ {
				name, value, _ := strings.Cut(kv, "=")
				e.Setenv(name, value)
			}
			e.Setenv("HTTP", "http://"+dev.http)
			return nil
		},
	})
}

// scriptCommands are what scripts can do beside testscript's own commands.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		// exits CODE COMMAND… runs a command that must end with this exit code.
		"exits": func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) < 2 {
				ts.Fatalf("usage: exits CODE COMMAND…")
			}
			code := 0
			err := ts.Exec(args[1], args[2:]...)
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				code = exit.ExitCode()
			} else {
				ts.Check(err)
			}
			if strconv.Itoa(code) != args[0] {
				ts.Fatalf("the exit code is %d, not %s\nstdout: %s\nstderr: %s", code, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
			}
		},
		// eventually PATTERN COMMAND… runs a command until its stdout has the pattern.
		"eventually": func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) < 2 {
				ts.Fatalf("usage: eventually TEXT COMMAND…")
			}
			for range 200 { // Each run takes tens of milliseconds.
				if err := ts.Exec(args[1], args[2:]...); err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) {
					return
				}
			}
			ts.Fatalf("stdout never had %q", args[0])
		},
	}
}
