package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/mail"
)

// devDrain is how long dev waits for running handlers unless told otherwise: at
// a desk nobody waits longer.
const devDrain = 3 * time.Second

func (c *cli) dev() *cobra.Command {
	var rate string
	var sample bool
	cmd := &cobra.Command{
		Use: "dev", Args: none,
		Short: "Everything in one process: nothing to install, nothing durable",
		Long: "Run an in-process Redis, a mail catcher, all handlers and HTTP in this process, for trying out.\n" +
			"Nothing is durable. The other commands talk to it from a second terminal.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runDev(cmd.Context(), rate, sample) },
	}
	cmd.Flags().StringVar(&rate, "rate", "", "keep sending believable commands, such as 5/s or 30/m")
	cmd.Flags().BoolVar(&sample, "sample", true, "send one CREATE_USER at the start, to show what happens")
	serverFlags(cmd)
	return cmd
}

func (c *cli) runDev(ctx context.Context, rate string, sample bool) (err error) {
	c.drains = true
	pause, err := parseRate(rate)
	if err != nil {
		return err
	}
	settings := *c.settings
	if !settings.given["drain_timeout"] {
		settings.DrainTimeout = devDrain
	}
	if !settings.given["log_level"] {
		settings.LogLevel = "warn" // What happens is shown as activity.
	}
	if !settings.given["log_format"] {
		settings.LogFormat = "text"
	}
	calmCollector()
	redis, err := embedded.Start(embedded.Config{Addr: settings.DevRedisAddr})
	if err != nil {
		return err
	}
	defer func() { _ = redis.Close() }()
	catcher, err := mail.StartCatcher(mail.CatcherConfig{Addr: settings.DevSMTPAddr})
	if err != nil {
		return err
	}
	defer func() { _ = catcher.Close() }()
	settings.RedisURL, settings.AMQPURL, settings.SMTPURL, settings.Durability = redis.URL(), "", "smtp://"+catcher.Addr(), ""

	s, err := c.newService(&settings, nil)
	if err != nil {
		return err
	}
	s.pages = map[string]http.Handler{"GET /mail": catcher}
	s.activity = &activity{out: c.stdout}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.run(ctx) })
	group.Go(func() error {
		select {
		case <-s.running:
		case <-ctx.Done():
			return nil
		}
		screen{redis: redis.Addr(), smtp: catcher.Addr(), http: s.address(), handlers: c.names, flags: c.devFlags(redis.Addr())}.print(c.stdout)
		t := &traffic{commands: s.commands}
		if sample {
			t.welcome(ctx)
		}
		return t.run(ctx, pause)
	})
	return group.Wait()
}

// devFlags is what a second terminal must add to reach this dev.
func (c *cli) devFlags(redis string) string {
	flags := ""
	switch {
	case c.settings.RedisURL != "":
		flags += " --redis-url redis://" + redis
	case redis != embedded.DefaultAddr:
		flags += " --dev-redis-addr " + redis
	}
	if c.settings.AMQPURL != "" {
		flags += " --amqp-url="
	}
	if c.settings.Namespace != "" {
		flags += " --namespace " + c.settings.Namespace
	}
	return flags
}

// screen is what dev says at its start.
type screen struct {
	redis, smtp, http string
	handlers          []string
	flags             string
}

func (s screen) print(w io.Writer) {
	call := program()
	_, _ = fmt.Fprintf(w, `Pitwheel dev: everything runs in this process, and nothing is durable. When it ends, all of it is gone.

  HTTP      http://%[1]s     commands, views, /readyz, /metrics
  Redis     redis://%[2]s    in this process: the log, the streams, the views
  Mail      smtp://%[3]s     caught, never delivered: http://%[1]s/mail
  Handlers  %[4]s

Try next, in a second terminal:

  %[5]s send CREATE_USER -f email=ada@example.com -f name=Ada --wait%[6]s
  %[5]s event tail%[6]s
  %[5]s projection rows user-directory%[6]s

Ctrl-C ends it.

`, s.http, s.redis, s.smtp, strings.Join(s.handlers, ", "), call, s.flags)
}
