package cli

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
)

// devOptions are the flags of dev that are not settings.
type devOptions struct {
	rate, data string
	fail       input.List
	watch      bool
	sample     bool
	sampleSet  bool       // whether sample was given
	supervised input.List // set by dev --watch, which has started this dev
}

func (c *cli) dev() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use: "dev", Args: input.None,
		Short: "Run everything in one process with an in-process Redis (nothing is persisted without --data)",
		Long: "Run an in-process Redis, all handlers and HTTP in this process, for trying out.\n" +
			"Nothing is durable without --data. The other commands talk to it from a second terminal.\n\n" +
			"Real brokers, and a mail server, are used if flags name them (--redis-url, --amqp-url, --smtp-url). In the environment and\n" +
			"in the file these settings are for serve and the other commands, and dev ignores them: they may be those of production.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f := cmd.Flags().Lookup("sample"); f != nil {
				o.sampleSet = f.Changed
			}
			if o.watch {
				return c.watchSources(cmd.Context(), cmd, o)
			}
			return c.runDev(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.Var((*input.Text)(&o.data), "data", "directory that keeps the data of the in-process Redis; a crash costs what has changed in the last second")
	flags.BoolVar(&o.watch, "watch", false, "build the program again and restart it when a Go file of its module is saved; keeps the data meanwhile")
	flags.Var(&o.fail, "fail", "let every attempt of these handlers fail, until a message is a poison message and is retried")
	_ = cmd.RegisterFlagCompletionFunc("fail", input.Words(c.HandlerNames()...)) // It fails only for a flag that is not there.
	if c.Samples.Generator != nil {
		flags.StringVar(&o.rate, "rate", "", "keep sending sample commands, such as 5/s or 30/m")
	}
	if first := c.Samples.First; first != nil {
		flags.BoolVar(&o.sample, "sample", true, "send one "+first.CommandType()+" at the start, to show what happens; by default only to an in-process Redis that is empty")
	}
	flags.Var(&o.supervised, supervisedFlag, "stop when stdin ends, and not when interrupted")
	_ = flags.MarkHidden(supervisedFlag) // It fails only for a flag that is not there.
	c.settingFlags(flags, false, app.DevDefaults())
	return cmd
}

func (c *cli) runDev(ctx context.Context, o devOptions) error {
	c.drains = true
	pause, err := input.ParseRate(o.rate)
	if err != nil {
		return err
	}
	if len(o.supervised) > 0 {
		var stop func()
		ctx, stop = untilStdinEnds(ctx, c.stdin)
		defer stop()
	}
	setGCPercent()
	report := reporter(c.stdout)
	var a *app.App
	a, err = c.New(c.settings, app.Options{
		Dev: true, Data: o.data, Fail: o.fail, Report: report, Log: c.stderr,
		CommandLine: func(args string) string { return program() + " " + args + c.devFlags(a.Dev().Redis) },
	})
	if err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Run(running) })
	group.Go(func() error {
		<-running.Done()
		if ctx.Err() != nil {
			report("draining", "running handlers finish what they have begun")
		}
		return nil
	})
	group.Go(func() error {
		select {
		case <-a.Running():
		case <-running.Done():
			return nil
		}
		if o.restarted() {
			report("restarted", "http://"+a.Addr())
		} else {
			c.startScreen(a, o)
		}
		c.sendSamples(running, a, o, pause)
		return nil
	})
	err = group.Wait()
	switch {
	case err == nil:
		report("stopped", "every running handler has finished")
	case ctx.Err() != nil:
		report("stopped", "with an error")
	}
	return err
}

// reporter returns a function that shows what happens in dev as it happens, one line each:
// what it is in one word, and the rest of the line.
func reporter(out io.Writer) func(what, text string) {
	var mu sync.Mutex
	return func(what, text string) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintf(out, "%s  %-8s  %s\n", time.Now().Format("15:04:05.000"), what, text)
	}
}
