package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/infra/telemetry"
)

// printer returns the printer of the command's data.
func (c *cli) printer() output.Printer {
	colour := c.terminal && c.env("NO_COLOR") == "" && c.env("TERM") != "dumb"
	return output.Printer{Out: c.stdout, Format: c.format, Colour: colour, NoHeaders: c.noHeaders, Quiet: c.quiet}
}

// confirm asks on the terminal. Without one, the answer must have been given by -y.
func (c *cli) confirm(ctx context.Context, cmd *cobra.Command, question string) (bool, error) {
	if !telemetry.IsTerminal(c.stdin) {
		return false, input.Usagef("`%s` has to ask, and there is no terminal", cmd.CommandPath()).WithHint("add -y to say yes, or --dry-run to only look")
	}
	_, _ = fmt.Fprintf(c.stderr, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // Without an answer it ends with the process.
		line, _ := bufio.NewReader(c.stdin).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answer:
		return a == "y" || a == "yes", nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// shellWord quotes a text for a shell, if need be.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=.,:/@+", r))
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// who returns user and host, for the audit trail.
func (c *cli) who() string {
	name := c.env("USER")
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

// env returns a variable of the environment.
func (c *cli) env(name string) string {
	value := ""
	for _, kv := range c.environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}
