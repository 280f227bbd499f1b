package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
)

func (c *cli) configuration() *cobra.Command {
	show := &cobra.Command{
		Use: "print", Args: input.None,
		Short: "Print every setting with its effective value and its source",
		Long: "Print every setting with its effective value, and where that comes from: a flag, the environment, the file, or the\n" +
			"default. Settings of handlers that are not defaults follow: those of the file and those that the code declares;\n" +
			"`" + c.Name + " handler show NAME` prints all of one handler. Secrets, and passwords in URLs, are hidden.",
		RunE: func(*cobra.Command, []string) error { return c.printSettings() },
	}
	c.listFlags(show.Flags(), "names")
	validate := &cobra.Command{
		Use: "validate", Args: input.None,
		Short: "Check the settings as serve does, without connecting to anything",
		Long: "Check all that serve checks before it connects: every setting, and those of handlers against the declared handlers.\n" +
			"It prints \"valid\", or what is wrong and exits with 2. Whether the brokers answer is not checked.",
		RunE: func(*cobra.Command, []string) error { return c.validateSettings() },
	}
	for _, cmd := range []*cobra.Command{show, validate} {
		c.settingFlags(cmd.Flags(), false, nil)
	}
	return input.Group("config", "The settings that are in force", show, validate)
}

func (c *cli) printSettings() error {
	infos, err := c.Describe(c.settings)
	if err != nil {
		return err
	}
	all := c.Settings.Effective(c.settings)
	for _, info := range infos {
		for _, s := range info.Settings {
			if s.Source != router.SourceDefault {
				all = append(all, settings.Effective{Name: fmt.Sprintf("handlers.%s.%s", info.Name, s.Name), Value: s.Value, Origin: c.sourceOf(s)})
			}
		}
	}
	return output.List(c.printer(), all, output.Columns[settings.Effective]{
		Heads: []string{"name", "value", "source"},
		Row:   func(s settings.Effective) []any { return []any{s.Name, s.Value, s.Origin} },
		Key:   func(s settings.Effective) string { return s.Name },
	})
}

func (c *cli) validateSettings() error {
	if err := c.Check(c.settings); err != nil {
		return err
	}
	if c.format == output.Table {
		return c.printer().Text("valid")
	}
	return output.One(c.printer(), map[string]string{"status": "valid"})
}
