package programtest

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Process is a program that runs until it is stopped or the test ends.
type Process struct {
	Cmd            *exec.Cmd
	Stdout, Stderr *Output
}

// Start starts a command whose Stdout and Stderr are unset. A test that fails logs both.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, Stdout: new(Output), Stderr: new(Output)}
	cmd.Stdout, cmd.Stderr = p.Stdout, p.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // It has ended already if all went well.
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%q\nstdout:\n%s\nstderr:\n%s", cmd.Args, p.Stdout, p.Stderr)
		}
	})
	return p
}

// Signal sends a signal to the process.
func (p *Process) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Exit waits for the end and returns the exit code: -1 if a signal killed the process, as
// happens after [Patience].
func (p *Process) Exit(t testing.TB) int {
	t.Helper()
	kill := time.AfterFunc(Patience, func() { _ = p.Cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.Cmd.Wait() // How it ended is in the state.
	return p.Cmd.ProcessState.ExitCode()
}

// Stop ends the process with SIGTERM and returns the exit code.
func (p *Process) Stop(t testing.TB) int {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	return p.Exit(t)
}
