package cli

import (
	"bytes"
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/router/backoff"
)

// watchInterval is the pause of --watch that is given without one.
const watchInterval = "2s"

// clearScreen moves a terminal's cursor to the top and deletes what is below it.
const clearScreen = "\x1b[H\x1b[J"

// listFlags adds the flags that every list has. Keys are what identifies its items, such
// as "ids".
func (c *cli) listFlags(flags *pflag.FlagSet, keys string) {
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "print only the "+keys+", one a line")
	flags.BoolVar(&c.noHeaders, "no-headers", false, "print the table without its first line")
}

// watchable adds the flag --watch to a command that prints a list, and returns it.
func (c *cli) watchable(cmd *cobra.Command) *cobra.Command {
	var every input.Duration
	flag := cmd.Flags().VarPF(&every, "watch", "", "print the list again after each pause, until Ctrl-C; --watch=10s for another pause than "+watchInterval)
	flag.NoOptDefVal = watchInterval
	arguments, once := cmd.Args, cmd.RunE
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		err := arguments(cmd, args)
		if err != nil && every != 0 {
			return asError(err).WithHint("the pause belongs to the flag: --watch=10s")
		}
		return err
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if every == 0 {
			return once(cmd, args)
		}
		return c.watch(cmd.Context(), time.Duration(every), func() error {
			// The file may have been changed.
			if err := c.loadSettings(cmd); err != nil {
				return err
			}
			return once(cmd, args)
		})
	}
	return cmd
}

// watch runs a command that prints a list, again and again until ctx ends. On a terminal
// each list replaces the one before; elsewhere a blank line separates them, or in YAML the start of a document. What is printed
// on stderr follows the list that it is about.
func (c *cli) watch(ctx context.Context, every time.Duration, once func() error) error {
	stdout, stderr := c.stdout, c.stderr
	defer func() { c.stdout, c.stderr = stdout, stderr }()
	before := ""
	if c.terminal {
		before = clearScreen
	}
	for {
		var list, notes bytes.Buffer
		c.stdout, c.stderr = &list, &notes
		err := once()
		if ctx.Err() != nil {
			return ctx.Err() // What was interrupted is not whole.
		}
		if list.Len()+notes.Len() > 0 || err == nil {
			if _, werr := stdout.Write(append([]byte(before), list.Bytes()...)); werr != nil {
				return werr
			}
			_, _ = stderr.Write(notes.Bytes())
		}
		if err != nil {
			return err
		}
		if !backoff.Wait(ctx, every) {
			return ctx.Err()
		}
		switch {
		case c.terminal:
		case c.format == output.YAML:
			before = "---\n" // A document of its own, not more items of the list before.
		default:
			before = "\n"
		}
	}
}
