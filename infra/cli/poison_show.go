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

	"github.com/pitwheel/pitwheel/router/poison"
)

func (c *cli) poisonShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Args: exactly("the letter's id"),
		Short: "All that is known about one letter, with its body",
		RunE:  func(cmd *cobra.Command, args []string) error { return c.showLetter(cmd.Context(), args[0]) },
	}
}

func (c *cli) showLetter(ctx context.Context, id string) error {
	client, err := c.reach(ctx, storeOnly)
	if err != nil {
		return err
	}
	defer client.Close()
	l, err := client.store.PoisonMessage(ctx, id)
	if err != nil {
		return err
	}
	if c.format != formatTable {
		return printOne(c.printer(), l)
	}
	return c.printer().letter(l)
}

// letter shows a letter to people: its fields, and below them what has many lines.
func (p printer) letter(l poison.Message) error {
	head := l
	head.Stack, head.Metadata, head.Body = "", nil, nil
	if err := printOne(p, head); err != nil {
		return err
	}
	var metadata strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l.Metadata)) {
		fmt.Fprintf(&metadata, "%s: %s\n", safeText(name, false), safeText(l.Metadata[name], false))
	}
	for _, part := range []struct{ title, text string }{
		{"metadata", metadata.String()}, {"stack", l.Stack}, {"body", prettyBody(l.Body)},
	} {
		if part.text == "" {
			continue
		}
		text := safeText(strings.TrimRight(part.text, "\n"), true)
		if _, err := fmt.Fprintf(p.out, "\n%s:\n  %s\n", part.title, strings.ReplaceAll(text, "\n", "\n  ")); err != nil {
			return err
		}
	}
	return nil
}

// prettyBody is a body for people: JSON indented, other text as it is, and what is
// no text in hexadecimal.
func prettyBody(body []byte) string {
	var indented bytes.Buffer
	switch {
	case json.Indent(&indented, body, "", "  ") == nil:
		return indented.String()
	case utf8.Valid(body):
		return string(body)
	}
	const most = 256
	return fmt.Sprintf("(%d bytes that are no text; `poison show -o json` has them in body_base64)\n% x", len(body), body[:min(most, len(body))])
}
