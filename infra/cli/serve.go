package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/app"
)

func (c *cli) serve() *cobra.Command {
	var only filledList
	cmd := &cobra.Command{
		Use: "serve", Args: none,
		Short: "Run the application on real brokers",
		Long: fmt.Sprintf("Run the handlers on the Redis of %s and the RabbitMQ of %s.\n"+
			"A broker that is not there yet is waited for. SIGTERM drains and exits with 0.", c.Settings.Env("redis_url"), c.Settings.Env("amqp_url")),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runServe(cmd.Context(), only) },
	}
	cmd.Flags().Var(&only, "only", "run only these handlers")
	_ = cmd.RegisterFlagCompletionFunc("only", words(c.names...)) // It fails only for a flag that is not there.
	c.serverFlags(cmd)
	return cmd
}

func (c *cli) runServe(ctx context.Context, only []string) error {
	c.drains = true
	setGCPercent()
	a, err := c.New(c.settings, app.Options{Only: only, Log: c.stderr})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}
