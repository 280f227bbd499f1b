package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
)

func (c *cli) dev() *cobra.Command {
	var rate string
	var sample bool
	cmd := &cobra.Command{
		Use: "dev", Args: input.None,
		Short: "Run everything in one process with an in-process Redis (nothing is persisted)",
		Long: "Run an in-process Redis, all handlers and HTTP in this process, for trying out.\n" +
			"Nothing is durable. The other commands talk to it from a second terminal.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runDev(cmd.Context(), rate, sample) },
	}
	if c.Samples.Generator != nil {
		cmd.Flags().StringVar(&rate, "rate", "", "keep sending sample commands, such as 5/s or 30/m")
	}
	if first := c.Samples.First; first != nil {
		cmd.Flags().BoolVar(&sample, "sample", true, "send one "+first.CommandType()+" at the start, to show what happens")
	}
	c.settingFlags(cmd.Flags(), false, app.DevDefaults())
	return cmd
}

func (c *cli) runDev(ctx context.Context, rate string, sample bool) error {
	c.drains = true
	pause, err := input.ParseRate(rate)
	if err != nil {
		return err
	}
	setGCPercent()
	a, err := c.New(c.settings, app.Options{Dev: true, Report: reporter(c.stdout), Log: c.stderr})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error {
		select {
		case <-a.Running():
		case <-ctx.Done():
			return nil
		}
		c.startScreen(a)
		s := &samples{c: c, a: a}
		if sample {
			s.send(ctx, "Samples.First", c.Samples.First)
		}
		if pause > 0 {
			s.keepSending(ctx, c.Samples.Generator(), pause)
		}
		return nil
	})
	return group.Wait()
}

// startScreen shows where everything is, and what to try next.
func (c *cli) startScreen(a *app.App) {
	dev := a.Dev()
	out := c.stdout
	line := func(name, text string) { _, _ = fmt.Fprintf(out, "  %-9s %s\n", name, text) }
	_, _ = fmt.Fprintf(out, "%s dev: everything runs in this process, and nothing is durable. When it ends, all of it is gone.\n\n", c.Name)
	line("HTTP", fmt.Sprintf("http://%s     commands, projections, /readyz, /metrics", a.Addr()))
	line("Redis", fmt.Sprintf("redis://%s    in this process: the log, the streams, the projections", dev.Redis))
	for _, s := range dev.Services {
		line(s.Name, s.URL+"    "+s.About)
	}
	line("Handlers", strings.Join(c.HandlerNames(), ", "))
	_, _ = fmt.Fprintf(out, "\nTry next, in a second terminal:\n\n")
	for _, command := range c.tryNext() {
		_, _ = fmt.Fprintf(out, "  %s %s%s\n", program(), command, c.devFlags(dev.Redis))
	}
	_, _ = fmt.Fprintf(out, "\nCtrl-C ends it.\n\n")
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
