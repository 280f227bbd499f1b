package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poisonShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Args: input.Exactly("the id of a poison message"),
		Short: "Print all that is known about one poison message, with its body",
		RunE:  func(cmd *cobra.Command, args []string) error { return c.showPoison(cmd.Context(), args[0]) },
	}
}

func (c *cli) showPoison(ctx context.Context, id string) error {
	admin, err := c.poisonAdmin(ctx)
	if err != nil {
		return err
	}
	m, err := admin.Message(ctx, id)
	if err != nil {
		return explainMissing(err)
	}
	if c.format != output.Table {
		return output.One(c.printer(), m)
	}
	return printPoison(c.printer(), m)
}

// printPoison prints a message for people: its fields, and below them what has many lines.
func printPoison(p output.Printer, m poison.Message) error {
	head := m
	head.Stack, head.Metadata, head.Body = "", nil, nil
	if err := output.One(p, head); err != nil {
		return err
	}
	var metadata strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.Metadata)) {
		fmt.Fprintf(&metadata, "%s: %s\n", output.Safe(name), output.Safe(m.Metadata[name]))
	}
	for _, part := range []struct{ title, text string }{
		{"metadata", metadata.String()}, {"stack", m.Stack}, {"body", prettyBody(m.Body)},
	} {
		if part.text == "" {
			continue
		}
		text := output.SafeLines(strings.TrimRight(part.text, "\n"))
		if _, err := fmt.Fprintf(p.Out, "\n%s:\n  %s\n", part.title, strings.ReplaceAll(text, "\n", "\n  ")); err != nil {
			return err
		}
	}
	return nil
}

// prettyBody returns a body for people: JSON indented, other text as it is, and what is
// not text in hexadecimal.
func prettyBody(body []byte) string {
	var indented bytes.Buffer
	switch {
	case json.Indent(&indented, body, "", "  ") == nil:
		return indented.String()
	case utf8.Valid(body):
		return string(body)
	}
	const most = 256
	return fmt.Sprintf("(%d bytes that are not text; `poison show -o json` has them in body_base64)\n% x", len(body), body[:min(most, len(body))])
}
