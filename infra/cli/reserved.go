package cli

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/settings"
)

// checkSettings returns an error with the code CONFIG for every setting of the application
// that has the name of a flag or a command that every application has: one of the two
// would replace the other.
func (c *cli) checkSettings() error {
	taken, err := c.reserved()
	if err != nil {
		return err
	}
	own := slices.Clone(c.Application.Settings)
	for _, s := range c.Dev {
		own = append(own, s.Settings...)
	}
	var errs []error
	for _, s := range own {
		if by, ok := taken[s.Flag()]; ok {
			errs = append(errs, events.Errorf(events.CodeConfig, "the setting %q has the name of %s; choose another name", s.Name, by))
		}
	}
	return errors.Join(errs...)
}

// reserved returns the names of the flags and commands that every application has, each
// with what has the name. They are those of the command line of an application with
// samples, and without settings and commands of its own.
func (c *cli) reserved() (map[string]string, error) {
	none, err := settings.NewSet(c.Name, nil)
	if err != nil {
		return nil, err
	}
	bare := *c.Definition
	bare.Settings, bare.Commands = none, nil
	bare.Samples = app.Samples{First: anySample{}, Generator: func() func() events.Command { return nil }}
	root, err := (&cli{Definition: &bare}).root()
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.InitDefaultHelpFlag()
		note := func(f *pflag.Flag) {
			if names[f.Name] == "" {
				names[f.Name] = "the flag --" + f.Name + " of `" + cmd.CommandPath() + "`"
			}
		}
		cmd.PersistentFlags().VisitAll(note)
		cmd.LocalFlags().VisitAll(note)
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
	for _, cmd := range root.Commands() {
		if names[cmd.Name()] == "" {
			names[cmd.Name()] = "the command `" + cmd.CommandPath() + "`"
		}
	}
	return names, nil
}

// anySample stands for an application's first sample.
type anySample struct{}

func (anySample) CommandType() string { return "SAMPLE" }
func (anySample) AggregateID() string { return "" }
