package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/infra/telemetry"
)

// cli is one run of the command line.
type cli struct {
	*app.Definition
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer

	format    string // the value of -o
	config    string // the value of --config
	quiet     bool   // the value of -q
	noHeaders bool   // the value of --no-headers
	terminal  bool   // whether stdout is a terminal
	settings  settings.Values
	drivers   []*app.Drivers // what is connected; it is closed at the end
	client    *client        // the last one of them
	// started is set once the command line is parsed.
	started bool
	// drains is set by commands that drain when they are interrupted, which is not a
	// failure.
	drains bool
}

// run is the whole program of an application but for the process around it. It returns
// the exit code. When ctx ends, a service is drained and any other command aborted.
func run(ctx context.Context, a app.Application, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr, terminal: telemetry.IsTerminal(stdout)}
	err := c.execute(ctx, a, args)
	if err != nil && ctx.Err() != nil && !c.drains && events.CodeOf(err) != codeInterrupted {
		err = context.Canceled // Whatever error the command returned, it was interrupted.
	}
	if err != nil {
		printError(stderr, a.Name, errorFormat(args), err)
	}
	return exitCode(err)
}

func (c *cli) execute(ctx context.Context, a app.Application, args []string) (err error) {
	if c.Definition, err = app.Define(a); err != nil {
		return err
	}
	if err := c.checkSettings(); err != nil {
		return err
	}
	defer func() {
		for _, d := range c.drivers {
			_ = d.Close() // The command has its result.
		}
	}()
	root, err := c.root()
	if err != nil {
		return err
	}
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	if err = root.ExecuteContext(ctx); err != nil && !c.started && events.CodeOf(err) == events.CodeInternal {
		// Only cobra itself fails before a command has started.
		return input.Usagef("%w", err).WithHint("`%s --help` lists commands and flags", program())
	}
	return err
}

func (c *cli) root() (*cobra.Command, error) {
	root := &cobra.Command{
		Use:   c.Name,
		Short: cmp.Or(c.Short, "Event-driven handlers on RabbitMQ and Redis"),
		Long: cmp.Or(c.Long, c.Short, "Turn commands into stored events, and events into reactions and projections.") + "\n\n" +
			"Start with `" + c.Name + " dev`: everything in one process, nothing to install.",
		Args:              input.None,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: c.start,
	}
	version := root.Flags().Bool("version", false, "print what this program was built from, like the command version")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *version {
			return c.printVersion()
		}
		return cmd.Help()
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	flags := root.PersistentFlags()
	flags.StringVarP(&c.format, "output", "o", output.Table, "format of data: table, json, jsonl or yaml")
	flags.StringVar(&c.config, "config", "", "configuration file (default ./"+c.Settings.File()+", if there is one)")
	c.settingFlags(flags, true, nil)
	root.SetFlagErrorFunc(flagError)
	_ = root.RegisterFlagCompletionFunc("output", input.Words(output.Formats()...)) // It fails only for a flag that is not there.
	root.AddCommand(c.dev(), c.serve(), c.send(), c.handler(), c.event(), c.aggregate(), c.projection(), c.ledger(), c.log(), c.poison(), c.store(), c.configuration(), c.version())
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	if err := c.addOwn(root); err != nil {
		return nil, err
	}
	strict(root)
	return root, nil
}

// addOwn adds the application's own commands. One that is nil, or has a name that is
// taken, is an error with the code CONFIG: cobra would never run it.
func (c *cli) addOwn(root *cobra.Command) error {
	if c.Commands == nil {
		return nil
	}
	taken := map[string]bool{}
	for _, cmd := range root.Commands() {
		taken[cmd.Name()] = true
	}
	own := c.Commands(app.CommandLine{
		Catalogue: c.Catalogue,
		Settings:  func() settings.Values { return c.settings },
		Connect:   c.reachServices,
	})
	for i, cmd := range own {
		if cmd == nil {
			return events.Errorf(events.CodeConfig, "Application.Commands: command %d of %d is nil", i+1, len(own))
		}
		for _, name := range append([]string{cmd.Name()}, cmd.Aliases...) {
			switch {
			case name == "":
				return events.Errorf(events.CodeConfig, "Application.Commands: command %d of %d has no name", i+1, len(own)).WithHint("set its field Use")
			case taken[name]:
				return events.Errorf(events.CodeConfig, "Application.Commands: there is a command %q already", name).
					WithHint("give it another name; taken are %s", strings.Join(slices.Sorted(maps.Keys(taken)), ", "))
			}
			taken[name] = true
		}
		root.AddCommand(cmd)
	}
	return nil
}

// strict makes cobra's own commands reject unknown arguments; by default they print
// their help and succeed.
func strict(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			like := input.Group("", "")
			cmd.Args, cmd.RunE = like.Args, like.RunE
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				about, rest, err := root.Find(args)
				if err != nil || !about.HasSubCommands() {
					return err // A command without others may be followed by its arguments.
				}
				return input.None(about, rest)
			}
		}
	}
}

// settingFlags adds flags for the settings that concern clients, or only a running service.
// Help shows the command's own defaults where it has some.
func (c *cli) settingFlags(flags *pflag.FlagSet, client bool, own map[string]string) {
	flags.SortFlags = false
	for _, s := range c.Settings.All() {
		if s.Client == client {
			flags.String(s.Flag(), cmp.Or(own[s.Name], s.Default), s.Usage)
		}
	}
}

// start checks what all commands share, before any of them runs.
func (c *cli) start(cmd *cobra.Command, _ []string) error {
	c.started = true
	if !slices.Contains(output.Formats(), c.format) {
		return input.Usagef("-o is %q; it must be %s", c.format, strings.Join(output.Formats(), ", "))
	}
	if cmd.Flags().Changed("version") || cmd.Name() == "version" || slices.ContainsFunc([]string{"completion", "help", cobra.ShellCompRequestCmd}, func(s string) bool {
		return strings.HasPrefix(cmd.CommandPath()+" ", c.Name+" "+s+" ")
	}) {
		return nil // They must work whatever is configured.
	}
	if c.quiet && c.format != output.Table {
		return input.Usagef("-q prints plain lines, so that it does not go with -o %s; leave out one of them", c.format)
	}
	return c.loadSettings(cmd)
}

// loadSettings loads the settings with the flags of the command that runs.
func (c *cli) loadSettings(cmd *cobra.Command) (err error) {
	given := map[string]string{}
	for _, s := range c.Settings.All() {
		if f := cmd.Flags().Lookup(s.Flag()); f != nil && f.Changed {
			given[s.Name] = f.Value.String()
		}
	}
	c.settings, err = c.Settings.Load(settings.Source{File: c.config, Flags: given, Environ: c.environ})
	return err
}

// flagError names the nearest flag.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if errors.As(err, &missing) && len(missing.GetSpecifiedName()) > 1 {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if nearest := settings.Nearest(missing.GetSpecifiedName(), names); nearest != "" {
			return input.Usagef("%w", err).WithHint("the nearest flag of `%s` is --%s", cmd.CommandPath(), nearest)
		}
	}
	return input.Usagef("%w", err).WithHint("`%s --help` lists the flags", cmd.CommandPath())
}
