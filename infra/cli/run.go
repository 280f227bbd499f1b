package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/handlers"
	"github.com/pitwheel/pitwheel/router"
)

// cli is one run of the command line.
type cli struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer

	catalogue *events.Catalogue
	declared  []router.Handler // without what they need to run
	names     []string         // of all handlers
	format    string           // the value of -o
	config    string           // the value of --config
	settings  *settings
	// started is set once the command line was found right.
	started bool
	// drains is set by the commands that answer an interruption by stopping in
	// good order, which is no failure.
	drains bool
}

// run is the whole program but for the process around it. It returns the exit
// code. When ctx ends, what runs is drained or given up.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr}
	err := c.execute(ctx, args)
	if err != nil && ctx.Err() != nil && !c.drains && events.CodeOf(err) != codeInterrupted {
		err = context.Canceled // However the command put it, it was interrupted.
	}
	if err != nil {
		tell(stderr, errorFormat(args), err)
	}
	return exitCode(err)
}

func (c *cli) execute(ctx context.Context, args []string) error {
	var err error
	if c.catalogue, err = handlers.Catalogue(); err != nil {
		return err
	}
	c.declared = handlers.All(handlers.Deps{})
	for _, h := range c.declared {
		c.names = append(c.names, h.Name())
	}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	if err = root.ExecuteContext(ctx); err != nil && !c.started && events.CodeOf(err) == events.CodeInternal {
		// Only cobra itself fails before a command has started.
		return usagef("%w", err).WithHint("`%s --help` lists commands and flags", program())
	}
	return err
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "pitwheel",
		Short: "Event-driven handlers on RabbitMQ and Redis",
		Long: "Pitwheel turns commands into stored events, and events into reactions and views.\n" +
			"Start with `pitwheel dev`: everything in one process, nothing to install.",
		Args:              none,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: c.start,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVarP(&c.format, "output", "o", formatTable, "format of data: table, json, jsonl or yaml")
	flags.StringVar(&c.config, "config", "", "configuration file (default ./pitwheel.yaml, if there is one)")
	for _, s := range known() {
		if s.client {
			flags.String(s.flag(), s.fallback, s.usage)
		}
	}
	root.SetFlagErrorFunc(flagError)
	_ = root.RegisterFlagCompletionFunc("output", words(formats()...)) // It fails only for a flag that is not there.
	root.AddCommand(c.dev(), c.serve(), c.send(), c.handler(), c.event(), c.aggregate(), c.projection(), c.poison(), c.version())
	strict(root)
	return root
}

// strict makes cobra's own commands refuse what they do not know; left to
// themselves, they print a help and end well.
func strict(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			like := group("", "")
			cmd.Args, cmd.RunE = like.Args, like.RunE
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				about, rest, err := root.Find(args)
				if err != nil || !about.HasSubCommands() {
					return err // A command without others may be followed by its arguments.
				}
				return none(about, rest)
			}
		}
	}
}

// start checks what all commands share, before any of them runs.
func (c *cli) start(cmd *cobra.Command, _ []string) error {
	c.started = true
	if err := checkFormat(c.format); err != nil {
		return err
	}
	if cmd.Name() == "version" || slices.ContainsFunc([]string{"completion", "help", cobra.ShellCompRequestCmd}, func(s string) bool {
		return strings.HasPrefix(cmd.CommandPath()+" ", "pitwheel "+s+" ")
	}) {
		return nil // They must work whatever is configured.
	}
	given := map[string]string{}
	for _, s := range known() {
		if f := cmd.Flags().Lookup(s.flag()); f != nil && f.Changed {
			given[s.key] = f.Value.String()
		}
	}
	var err error
	c.settings, err = load(c.config, given, c.environ, c.names)
	return err
}

// serverFlags adds the settings that only a running service has.
func serverFlags(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	for _, s := range known() {
		if !s.client {
			cmd.Flags().String(s.flag(), s.fallback, s.usage)
		}
	}
}

// printer is where the command's data go.
func (c *cli) printer() printer {
	return printer{out: c.stdout, format: c.format, colour: c.colourful(c.stdout)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colourful tells whether w is a terminal that may be shown colours.
func (c *cli) colourful(w io.Writer) bool {
	if !isTerminal(w) {
		return false
	}
	for _, kv := range c.environ {
		if name, v, _ := strings.Cut(kv, "="); name == "NO_COLOR" && v != "" || name == "TERM" && v == "dumb" {
			return false
		}
	}
	return true
}

// infos describes all handlers with their effective settings.
func (c *cli) infos() ([]router.HandlerInfo, error) {
	return router.Describe(c.catalogue, c.declared, c.settings.Handlers)
}

// flagError names the nearest flag.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if errors.As(err, &missing) && len(missing.GetSpecifiedName()) > 1 {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		return usagef("%w", err).WithHint("the nearest flag of `%s` is --%s", cmd.CommandPath(), nearest(missing.GetSpecifiedName(), names))
	}
	return usagef("%w", err).WithHint("`%s --help` lists the flags", cmd.CommandPath())
}

// program is how the user can call this program again.
func program() string {
	name := os.Args[0]
	if strings.Contains(name, "go-build") {
		return "go run ./cmd/pitwheel"
	}
	if !strings.ContainsRune(name, filepath.Separator) {
		return name
	}
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, name); err == nil && !strings.HasPrefix(rel, "..") {
			return "." + string(filepath.Separator) + rel
		}
	}
	return name
}

// untilSignal returns a context that ends with the first interrupt or termination.
// The second one ends the process at once. stop gives the signals back.
func untilSignal(exit func(int)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for first := true; ; first = false {
			select {
			case <-signals:
				if !first {
					exit(exitInterrupted)
				}
				cancel()
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
