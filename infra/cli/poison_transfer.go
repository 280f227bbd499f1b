package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poisonExport() *cobra.Command {
	var p poisonFilter
	cmd := &cobra.Command{
		Use: "export", Args: input.None,
		Short: "Print whole poison messages as JSON lines, for `poison import` and other tools",
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.exportPoison(cmd.Context(), &p) },
	}
	p.flags(c, cmd)
	return cmd
}

func (c *cli) exportPoison(ctx context.Context, p *poisonFilter) error {
	if c.format != output.Table && c.format != output.JSONL {
		return input.Usagef("-o is %q; `poison export` writes JSON lines", c.format)
	}
	filter, err := p.filter(time.Now())
	if err != nil {
		return err
	}
	admin, err := c.poisonAdmin(ctx)
	if err != nil {
		return err
	}
	exported := &countingWriter{Writer: c.stdout}
	out := bufio.NewWriter(exported)
	err = errors.Join(admin.Export(ctx, filter, out), out.Flush())
	if err == nil && exported.bytes == 0 {
		c.noteUnmatched(filter, 0, nil)
	}
	return err
}

// countingWriter counts the bytes that are written.
type countingWriter struct {
	io.Writer
	bytes int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.bytes += n
	return n, err
}

func (c *cli) poisonImport() *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use: "import FILE|-", Args: input.Exactly("a file of JSON lines, or - for stdin"),
		Short: "Import poison messages that `poison export` has written",
		Long:  "Read poison messages as JSON lines. One that exists already stays as it is, so that an import may be repeated.",
		RunE:  func(cmd *cobra.Command, args []string) error { return c.importPoison(cmd.Context(), args[0], why) },
	}
	cmd.Flags().StringVar(&why, "reason", "", "why, for the audit trail")
	return cmd
}

func (c *cli) importPoison(ctx context.Context, name, why string) error {
	in, err := input.Open(ctx, c.stdin, name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	admin, err := c.poisonAdmin(ctx)
	if err != nil {
		return err
	}
	t, err := admin.Import(ctx, in, poison.Change{Who: c.who(), Why: why})
	for _, p := range t.Problems {
		_, _ = fmt.Fprintln(c.stderr, p)
	}
	switch {
	case err != nil:
		return fmt.Errorf("importing %s: %w", name, err)
	case t.Failed > 0 && t.Failed == t.Read:
		return events.Errorf(events.CodeInvalid, "none of the %d lines is a poison message", t.Read).
			WithHint("import what `%s poison export` has printed", program())
	case t.Failed > 0:
		err = events.Errorf(codePartly, "%d of %d lines are not poison messages", t.Failed, t.Read).
			WithHint("correct those lines and import the file again; what is imported already stays as it is")
	}
	return errors.Join(output.One(c.printer(), t), err)
}
