package cli

import (
	"context"

	"github.com/pitwheel/pitwheel/router"
)

// inspect returns the router of the application on the brokers of the running service. It is
// not run: it answers questions about the ledgers, and replays history.
func (c *cli) inspect(ctx context.Context) (*router.Router, error) {
	client, err := c.reach(ctx, withCommands)
	if err != nil {
		return nil, err
	}
	return c.Inspect(client.Drivers, c.settings)
}
