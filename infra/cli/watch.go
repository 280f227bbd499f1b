package cli

import (
	"context"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/source"
)

// supervisedFlag is the flag with which dev --watch starts dev. It lists what is special
// about that one.
const (
	supervisedFlag = "supervised"
	byWatch        = "watch"     // always
	temporaryData  = "temporary" // --data is removed at the end
	startedAgain   = "again"     // it is not the first one
)

func (o devOptions) restarted() bool { return slices.Contains(o.supervised, startedAgain) }
func (o devOptions) temporary() bool { return slices.Contains(o.supervised, temporaryData) }

// pollEvery is how often watched files are looked at, and how long they must not have
// changed before the program is built.
const pollEvery = 300 * time.Millisecond

// watchSources builds the program from its source, runs its dev, and does so again whenever a file
// is saved. While a build fails, the former dev runs on.
func (c *cli) watchSources(ctx context.Context, cmd *cobra.Command, o devOptions) (err error) {
	c.drains = true
	// What is wrong with the flags does not change with the source.
	if _, err := input.ParseRate(o.rate); err != nil {
		return err
	}
	if _, err := c.New(c.settings, app.Options{Dev: true, Data: o.data, Fail: o.fail}); err != nil {
		return err
	}
	program, err := source.Find(ctx)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", c.Name+"-dev-")
	if err != nil {
		return events.Errorf(events.CodeInternal, "dev --watch has no place for the program that it builds: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }() // What stays is in the system's folder for that.
	w := &watcher{c: c, binary: filepath.Join(temp, filepath.Base(os.Args[0])), report: reporter(c.stdout), args: devArgs(cmd), supervised: byWatch}
	if o.data == "" && c.fromFlag("redis_url") == "" {
		w.args = append(w.args, "--data="+filepath.Join(temp, "data"))
		w.supervised += "," + temporaryData
	}
	return w.run(ctx, program)
}

// devArgs returns the arguments of a dev like this one that does not watch.
func devArgs(cmd *cobra.Command) []string {
	args := []string{cmd.Name()}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != "watch" {
			args = append(args, "--"+f.Name+"="+f.Value.String())
		}
	})
	return args
}

// watcher runs one dev after another.
type watcher struct {
	c          *cli
	binary     string // where the program is built
	args       []string
	supervised string
	report     func(what, text string)
	running    *child // nil: none
}

// run returns when ctx has ended and dev with it.
func (w *watcher) run(ctx context.Context, program *source.Program) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		files := program.Files(ctx)
		stamps := source.Look(files)
		w.restart(ctx, program)
		for changed := ""; changed == ""; {
			select {
			case <-ctx.Done():
				return w.stop()
			case <-w.running.ended():
				w.report("ended", w.running.exit()+"; it is started again when a file is saved")
				w.running = nil
			case <-ticker.C:
				if changed = stamps.Changed(source.Look(files)); changed != "" {
					w.report("changed", changed)
				}
			}
		}
		// An editor, or git, may still be writing.
		for before := source.Look(files); ; {
			select {
			case <-ctx.Done():
				return w.stop()
			case <-ticker.C:
			}
			now := source.Look(files)
			if before.Changed(now) == "" {
				break
			}
			before = now
		}
	}
}

// restart builds the program and replaces the dev that runs.
func (w *watcher) restart(ctx context.Context, program *source.Program) {
	began := time.Now()
	built := w.binary + ".new"
	if out, err := program.Build(ctx, built); err != nil {
		if ctx.Err() == nil {
			_, _ = w.c.stderr.Write(out)
			w.report("build", "failed: "+err.Error()+w.meanwhile())
		}
		return
	}
	w.report("build", "done in "+time.Since(began).Round(10*time.Millisecond).String())
	if err := w.stop(); err != nil {
		w.report("ended", err.Error())
	}
	if err := os.Rename(built, w.binary); err != nil {
		w.report("build", "failed: "+err.Error())
		return
	}
	child, err := startChild(w.c, w.binary, append(slices.Clip(w.args), "--"+supervisedFlag+"="+w.supervised))
	if err != nil {
		w.report("start", "failed: "+err.Error())
		return
	}
	w.running = child
	if !strings.HasSuffix(w.supervised, startedAgain) {
		w.supervised += "," + startedAgain
	}
}

// meanwhile says what runs while a build fails.
func (w *watcher) meanwhile() string {
	if w.running == nil {
		return "; it is built again when a file is saved"
	}
	return "; the program built before runs on"
}

// stop drains the dev that runs.
func (w *watcher) stop() error {
	if w.running == nil {
		return nil
	}
	child := w.running
	w.running = nil
	return child.stop()
}

// child is a dev that watch has started. It stops when its stdin ends: that also happens
// if this process dies, and on every operating system.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when it has ended
}

// startChild starts a program under the name of this one, which it uses to print how it is called.
func startChild(c *cli, binary string, args []string) (*child, error) {
	cmd := &exec.Cmd{Path: binary, Args: append([]string{os.Args[0]}, args...), Env: c.environ, Stdout: c.stdout, Stderr: c.stderr}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &child{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // How it ended is in the state.
	}()
	return p, nil
}

// ended returns a channel that is closed when the child has ended; nil without a child.
func (p *child) ended() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.done
}

// exit describes how the child has ended.
func (p *child) exit() string { return p.cmd.ProcessState.String() }

// stop drains the child, and returns an error unless it ends with exit code 0.
func (p *child) stop() error {
	_ = p.stdin.Close() // It fails if the child has ended.
	<-p.done
	if !p.cmd.ProcessState.Success() {
		return events.Errorf(events.CodeInternal, "dev has not ended well: %s", p.exit())
	}
	return nil
}

// untilStdinEnds returns a context that ends with stdin. An interrupt, which a terminal
// sends to both processes, is left to the one that watches. The goroutine ends with stdin.
func untilStdinEnds(ctx context.Context, stdin io.Reader) (context.Context, func()) {
	signal.Ignore(os.Interrupt)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, stdin)
	}()
	return ctx, cancel
}
