package cli

import (
	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/infra/telemetry"
)

// version prints what this program was built from.
func (c *cli) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print what this program was built from", Args: input.None,
		RunE: func(*cobra.Command, []string) error { return c.printVersion() },
	}
}

func (c *cli) printVersion() error { return output.One(c.printer(), telemetry.ThisBuild()) }
