package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/infra/redis/record"
	"github.com/pitwheel/pitwheel/infra/redis/transports"
)

// storeView is the record of the store as it is printed.
type storeView struct {
	LogID      string `json:"log_id"`
	Partitions int    `json:"partitions"`
	Transport  string `json:"transport"`
	Broker     string `json:"broker,omitempty"`
	Namespace  string `json:"exchange_namespace"`
}

func (c *cli) store() *cobra.Command {
	show := &cobra.Command{
		Use: "show", Args: input.None,
		Short: "Print what the store in Redis was made for",
		Long: "Print the id of the log, its partitions, and what carries the messages of the store. An instance whose settings differ is\n" +
			"refused at its start.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.showStore(cmd.Context()) },
	}
	var yes, dryRun bool
	adopt := &cobra.Command{
		Use: "adopt", Args: input.None,
		Short: "Have the store belong to the transport that the settings name",
		Long: "Change the record of the store: from now on it belongs to the RabbitMQ that " + c.Settings.Env("amqp_url") + " names, or to Redis Streams without it.\n" +
			"Instances with other settings are refused, and those that run end. Nothing is moved: what waits in the queues of the former\n" +
			"transport stays there. Stop all instances first, and let them finish before that.",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.adoptStore(cmd, yes, dryRun) },
	}
	adopt.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would stay behind")
	adopt.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return input.Group("store", "What the store in Redis was made for", show, adopt)
}

func (c *cli) showStore(ctx context.Context) error {
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return err
	}
	info, err := client.Store.StoreInfo(ctx)
	if err != nil {
		return err
	}
	if info.Partitions == 0 {
		return c.noStore()
	}
	return c.printStore(info)
}

func (c *cli) noStore() error {
	return events.Errorf(events.CodeNotFound, "there is no store in this Redis").WithField("namespace").
		WithHint("`%s serve` makes one; check %s and %s", c.Name, c.Settings.Env("redis_url"), c.Settings.Env("namespace"))
}

func (c *cli) printStore(info record.Info) error {
	view := storeView{info.LogID, info.Partitions, info.Transport, info.Broker, info.Namespace}
	if c.format != output.Table {
		return output.One(c.printer(), view)
	}
	return c.printer().Rows([][]any{
		{"log id", view.LogID}, {"partitions", view.Partitions}, {"transport", view.Transport}, {"broker", view.Broker}, {"exchange namespace", view.Namespace},
	})
}

func (c *cli) adoptStore(cmd *cobra.Command, yes, dryRun bool) error {
	ctx := cmd.Context()
	drivers, err := c.connectUnchecked(ctx)
	if err != nil {
		return err
	}
	info, err := drivers.Store.StoreInfo(ctx)
	switch {
	case err != nil:
		return err
	case info.Partitions == 0:
		return c.noStore()
	case info.Use == drivers.Use:
		c.note("nothing to change: the store belongs to %s already", info.Use)
		return c.printStore(info)
	}
	if info.Transport != "" {
		if err := c.noteLeftBehind(ctx, drivers, info.Use); err != nil {
			return err
		}
	}
	if dryRun {
		return c.printStore(info)
	}
	if !yes {
		ok, err := c.confirm(ctx, cmd, fmt.Sprintf("Have the store belong to %s?", drivers.Use))
		if err != nil || !ok {
			return err
		}
	}
	if _, err = drivers.Store.AdoptStore(ctx, drivers.Use); err != nil {
		return err
	}
	info.Use = drivers.Use
	return c.printStore(info)
}

// connectUnchecked connects to the brokers that the settings name, whatever the store was
// made for.
func (c *cli) connectUnchecked(ctx context.Context) (*app.Drivers, error) {
	ctx, cancel := c.reachContext(ctx)
	defer cancel()
	drivers, err := c.Connect(ctx, c.settings, app.Connection{Transport: true, Unchecked: true})
	if err != nil {
		return nil, c.unreachable(err)
	}
	c.drivers = append(c.drivers, drivers)
	return drivers, nil
}

// noteLeftBehind says what is not moved with the store.
func (c *cli) noteLeftBehind(ctx context.Context, drivers *app.Drivers, was record.Use) error {
	where := "the streams of this Redis"
	if was.Transport == transports.RabbitMQ {
		where = fmt.Sprintf("the queues of %s", was)
	}
	if was.Namespace != "" {
		where += fmt.Sprintf(" with the prefix %q", was.Namespace)
	}
	c.note("stays behind: commands and events that wait in %s, and those that are delayed there", where)
	used, err := drivers.Store.UsedTransports(ctx)
	if err == nil && len(used) > 0 {
		c.note("an instance has run within the last minute: instances with other settings than these end with an error")
	}
	return err
}

// note prints a line for people.
func (c *cli) note(format string, args ...any) {
	_, _ = fmt.Fprintf(c.stderr, format+"\n", args...)
}
