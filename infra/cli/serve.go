package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/telemetry"
)

func (c *cli) serve() *cobra.Command {
	var only filledList
	cmd := &cobra.Command{
		Use: "serve", Args: none,
		Short: "Run the application on real brokers",
		Long: "Run the handlers on the Redis of PITWHEEL_REDIS_URL and the RabbitMQ of PITWHEEL_AMQP_URL.\n" +
			"A broker that is not there yet is waited for. SIGTERM drains and exits with 0.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runServe(cmd.Context(), only) },
	}
	cmd.Flags().Var(&only, "only", "run only these handlers")
	_ = cmd.RegisterFlagCompletionFunc("only", words(c.names...)) // It fails only for a flag that is not there.
	serverFlags(cmd)
	return cmd
}

func (c *cli) runServe(ctx context.Context, only []string) error {
	c.drains = true
	for _, name := range only {
		if !slices.Contains(c.names, name) {
			return events.Errorf(events.CodeConfig, "--only: no handler is named %q; the nearest is %q", name, nearest(name, c.names)).
				WithHint("there are %s", strings.Join(c.names, ", "))
		}
	}
	calmCollector()
	s, err := c.newService(c.settings, only)
	if err != nil {
		return err
	}
	s.logger.InfoContext(ctx, "starting", "redis", telemetry.RedactURL(c.settings.redisURL()), "amqp", telemetry.RedactURL(c.settings.AMQPURL),
		"namespace", c.settings.Namespace, "http", s.address(), "only", only, "version", thisBuild().Version)
	if c.settings.RedisURL == "" {
		s.logger.WarnContext(ctx, "PITWHEEL_REDIS_URL is not set: the Redis of a local pitwheel dev is used, which keeps nothing", "addr", c.settings.DevRedisAddr)
	}
	if c.settings.AMQPURL == "" {
		s.logger.InfoContext(ctx, "PITWHEEL_AMQP_URL is not set: commands and reactions travel over Redis Streams")
	}
	return s.run(ctx)
}
