package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// again returns the command line that continues with what is left.
func (b *bulk) again() string {
	_, path, _ := strings.Cut(b.cmd.CommandPath(), " ")
	parts := []string{program(), path}
	b.cmd.Flags().Visit(func(f *pflag.Flag) {
		switch v, many := f.Value.(pflag.SliceValue); {
		case strings.HasSuffix(f.Name, "-url"):
			parts = append(parts, "--"+f.Name+"=…") // It may hold a password.
		case f.Value.Type() == "bool" && f.Value.String() == "true":
			parts = append(parts, "--"+f.Name)
		case many:
			for _, one := range v.GetSlice() {
				parts = append(parts, "--"+f.Name+"="+shellWord(one))
			}
		default:
			parts = append(parts, "--"+f.Name+"="+shellWord(f.Value.String()))
		}
	})
	return strings.Join(append(parts, b.selection.IDs...), " ")
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

// confirm asks on the terminal. Without one, the answer must have been given by -y.
func (c *cli) confirm(ctx context.Context, cmd *cobra.Command, question string) (bool, error) {
	if f, ok := c.stdin.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) { //nolint:gosec // A descriptor fits an int.
		return false, usagef("`%s` has to ask, and there is no terminal", cmd.CommandPath()).WithHint("add -y to say yes, or --dry-run to only look")
	}
	_, _ = fmt.Fprintf(c.stderr, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // It ends with the process if nobody answers.
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
