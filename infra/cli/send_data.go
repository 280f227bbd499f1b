package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
)

// dataOf returns the command's data from the flags.
func (c *cli) dataOf(ctx context.Context, t *events.Type, s sending) (json.RawMessage, error) {
	text, err := c.given(ctx, s.data)
	if err != nil {
		return nil, err
	}
	if len(s.fields) == 0 && s.data != "" {
		return text, nil
	}
	object := map[string]json.RawMessage{}
	if s.data != "" {
		if err := json.Unmarshal(text, &object); err != nil || object == nil {
			return nil, input.Usagef("-d is not a JSON object, so that -f cannot be applied to it")
		}
	}
	seen := map[string]bool{}
	for _, f := range s.fields {
		name, value, ok := strings.Cut(f, "=")
		if !ok || name == "" {
			return nil, input.Usagef("-f is %q; it must be name=value", f)
		}
		if seen[name] {
			return nil, input.Usagef("-f gives the field %q twice", name)
		}
		seen[name] = true
		object[name] = fieldValue(t, name, value)
	}
	return json.Marshal(object)
}

// given reads the value of -d.
func (c *cli) given(ctx context.Context, data string) (json.RawMessage, error) {
	var text []byte
	var err error
	switch {
	case data == "-":
		text, err = io.ReadAll(input.Reader(ctx, c.stdin))
	case strings.HasPrefix(data, "@"):
		text, err = os.ReadFile(data[1:])
	default:
		text = []byte(data)
	}
	if err != nil {
		return nil, input.Usagef("-d: %w", err)
	}
	return bytes.TrimSpace(input.WithoutBOM(text)), nil
}

// fieldValue returns a value as JSON of the field's kind. One that does not fit becomes a
// string, which the check of the command then reports.
func fieldValue(t *events.Type, name, value string) json.RawMessage {
	for _, f := range t.Fields() {
		if f.Name == name && f.Kind != "string" && json.Valid([]byte(value)) {
			return json.RawMessage(value)
		}
	}
	text, _ := json.Marshal(value) // A string always marshals.
	return text
}

// typeIn finds a command type among the arguments.
func (c *cli) typeIn(args []string) (*events.Type, bool) {
	for _, a := range args {
		if t, ok := c.Catalogue.Lookup(a); ok && t.Command {
			return t, true
		}
	}
	return nil, false
}

// helpFields prints the fields of a command.
func (c *cli) helpFields(w io.Writer, t *events.Type) {
	_, _ = fmt.Fprintf(w, "\nFields of %s:\n", t.Name)
	var rows [][]any
	for _, f := range t.Fields() {
		need := "optional"
		if f.Required {
			need = "required"
		}
		rows = append(rows, []any{"  " + f.Name, f.Kind, need, f.Doc})
	}
	_ = output.Printer{Out: w}.Rows(rows) // An error while printing help cannot be reported.
}

// completeField completes the names of a command's fields.
func (c *cli) completeField(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	if t, ok := c.typeIn(args); ok {
		for _, f := range t.Fields() {
			out = append(out, cobra.CompletionWithDesc(f.Name+"=", f.Doc))
		}
	}
	return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
