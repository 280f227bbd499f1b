package cli

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
)

func (c *cli) serve() *cobra.Command {
	var only input.List
	cmd := &cobra.Command{
		Use: "serve", Args: input.None,
		Short: "Run the application on real brokers",
		Long: fmt.Sprintf("Run the handlers on the Redis of %s and the RabbitMQ of %s.\n"+
			"A broker that is not there yet is waited for. SIGTERM drains and exits with 0, or with 124 if a handler outlives the drain timeout.", c.Settings.Env("redis_url"), c.Settings.Env("amqp_url")),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runServe(cmd.Context(), only) },
	}
	cmd.Flags().Var(&only, "only", "run only these handlers")
	_ = cmd.RegisterFlagCompletionFunc("only", input.Words(c.HandlerNames()...)) // It fails only for a flag that is not there.
	c.settingFlags(cmd.Flags(), false, nil)
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

// gcPercent is how much garbage may gather before it is collected, in percent of what
// is in use. A service holds a few megabytes and makes garbage with every message; with
// Go's default of 100 it collects dozens of times a second.
const gcPercent = 400

// setGCPercent trades some memory for time, unless the operator has decided with GOGC
// or GOMEMLIMIT.
func setGCPercent() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
