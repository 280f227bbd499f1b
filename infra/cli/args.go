package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/settings"
)

// none accepts no arguments. For an unknown subcommand its error names the nearest one.
func none(cmd *cobra.Command, args []string) error {
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
		return usagef("`%s` takes no arguments, but %q is given", cmd.CommandPath(), args[0])
	}
	return usagef("`%s` has no command %q", cmd.CommandPath(), args[0]).
		WithHint("the nearest is %q; it has %s", nearest(args[0], names), strings.Join(names, ", "))
}

// exactly accepts the named arguments.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usagef("`%s` needs %s; %d arguments are given", cmd.CommandPath(), strings.Join(names, " and "), len(args)).
				WithHint("%s", cmd.UseLine())
		}
		return nil
	}
}

// group returns a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: none, RunE: func(cmd *cobra.Command, _ []string) error {
		var names []string
		for _, sub := range cmd.Commands() {
			names = append(names, sub.Name())
		}
		return usagef("`%s` needs a command: %s", cmd.CommandPath(), strings.Join(names, ", "))
	}}
	cmd.AddCommand(subs...)
	return cmd
}

// words completes the first argument, or a flag's value, from a list.
func words(list ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// parseMoment reads a time: RFC 3339, a day, or how long ago it was.
func parseMoment(flag, text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("%s is %q; it must be how long ago, such as 10m, or a time, such as %s", flag, text, now.UTC().Format(time.RFC3339))
}

// point is a place in an aggregate's history: a version, or a moment.
type point struct {
	version uint64
	at      time.Time
}

func parsePoint(flag, text string, now time.Time) (point, error) {
	if v, err := strconv.ParseUint(text, 10, 64); err == nil {
		if v == 0 {
			return point{}, usagef("%s is 0; versions run from 1 on", flag)
		}
		return point{version: v}, nil
	}
	t, err := parseMoment(flag, text, now)
	if err != nil {
		return point{}, usagef("%s is %q; it must be a version, such as 3, or a time, such as %s", flag, text, now.UTC().Format(time.RFC3339))
	}
	return point{at: t}, nil
}

// notFound returns an error that names the nearest known name.
func notFound(what, name string, known []string) error {
	return events.Errorf(events.CodeNotFound, "there is no %s %q; the nearest is %q", what, name, nearest(name, known)).
		WithHint("there are %s", strings.Join(known, ", "))
}

// parseRate reads a rate, such as 5/s, and returns the pause between two; 0 if the text
// is empty.
func parseRate(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	wrong := usagef("--rate is %q; it must be a number a second or a minute, such as 5/s or 30/m, at most 1000/s", text)
	number, unit, ok := strings.Cut(text, "/")
	per, known := map[string]time.Duration{"s": time.Second, "m": time.Minute}[unit]
	var n float64
	if _, err := fmt.Sscanf(number+"\n", "%g\n", &n); err != nil || n <= 0 || ok && !known {
		return 0, wrong
	}
	if !ok {
		per = time.Second
	}
	pause := time.Duration(float64(per) / n)
	if pause < time.Millisecond || pause > 24*time.Hour {
		return 0, wrong
	}
	return pause, nil
}

// nearest returns the known word that takes the fewest edits to reach from the given one.
func nearest(word string, known []string) string { return settings.Nearest(word, known) }
