package input

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/settings"
)

// CodeUsage is the code of an error in how the command was typed.
const CodeUsage = "USAGE"

// Usagef returns an error in how the command was typed.
func Usagef(format string, a ...any) *events.Error { return events.Errorf(CodeUsage, format, a...) }

// None accepts no arguments. For an unknown subcommand its error names the nearest one.
func None(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	if len(names) == 0 {
		return Usagef("`%s` takes no arguments, but %q is given", cmd.CommandPath(), args[0])
	}
	return Usagef("`%s` has no command %q%s", cmd.CommandPath(), args[0], settings.DidYouMean(args[0], names)).
		WithHint("it has %s", strings.Join(names, ", "))
}

// Exactly accepts the named arguments.
func Exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			given := fmt.Sprintf("%d arguments are", len(args))
			if len(args) == 1 {
				given = "only one argument is"
			}
			return Usagef("`%s` needs %s; %s given", cmd.CommandPath(), strings.Join(names, " and "), given).
				WithHint("%s", cmd.UseLine())
		}
		return nil
	}
}

// Group returns a command that only holds others.
func Group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: None, RunE: func(cmd *cobra.Command, _ []string) error {
		var names []string
		for _, sub := range cmd.Commands() {
			names = append(names, sub.Name())
		}
		return Usagef("`%s` needs a command: %s", cmd.CommandPath(), strings.Join(names, ", "))
	}}
	cmd.AddCommand(subs...)
	return cmd
}

// Words completes the first argument, or a flag's value, from a list.
func Words(list ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// NotFound returns an error that names the nearest known name, if one is near, and the
// known names.
func NotFound(what, name string, known []string) error {
	return events.Errorf(events.CodeNotFound, "there is no %s %q%s", what, name, settings.DidYouMean(name, known)).WithHint("%s", settings.Listed(known))
}
