package cli

import (
	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/telemetry"
)

// version prints what this program was built from.
func (c *cli) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print what this program was built from", Args: none,
		RunE: func(*cobra.Command, []string) error { return printOne(c.printer(), telemetry.ThisBuild()) },
	}
}
