package output

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// The formats.
const (
	Table = "table"
	JSON  = "json"
	JSONL = "jsonl"
	YAML  = "yaml"
)

// Formats returns all formats; the first is the default.
func Formats() []string { return []string{Table, JSON, JSONL, YAML} }

// Printer writes data in a format. An unknown format is that of a table.
type Printer struct {
	Out    io.Writer
	Format string
	Colour bool
	// NoHeaders leaves out the first line of a list's table.
	NoHeaders bool
	// Quiet replaces the table of a list by the keys of its items, one a line.
	Quiet bool
}

// Columns say how people see a list.
type Columns[T any] struct {
	Heads []string
	// Row returns the cells of an item, one for each head.
	Row func(T) []any
	// Key returns what identifies an item: its id or name. Nil: no list of this kind is
	// printed quietly.
	Key func(T) string
}

// List writes a list: an array in JSON and YAML, one line per item in JSON Lines, and a
// table for people.
func List[T any](p Printer, items []T, columns Columns[T]) error {
	switch p.Format {
	case JSON, YAML:
		return p.encode(append([]T{}, items...)) // An empty array, not null.
	case JSONL:
		for _, item := range items {
			if err := p.encode(item); err != nil {
				return err
			}
		}
		return nil
	}
	if p.Quiet {
		for _, item := range items {
			if err := p.Text(columns.Key(item)); err != nil {
				return err
			}
		}
		return nil
	}
	var rows [][]any
	for _, item := range items {
		rows = append(rows, columns.Row(item))
	}
	if p.NoHeaders {
		return p.table(nil, rows)
	}
	return p.table(columns.Heads, rows)
}

// One writes a single thing: an object, and for people a table of its fields.
func One(p Printer, v any) error {
	switch p.Format {
	case JSON, JSONL, YAML:
		return p.encode(v)
	}
	fields, err := Fields(v)
	if err != nil {
		return err
	}
	var rows [][]any
	for _, f := range fields {
		rows = append(rows, []any{f.Name, f.Value})
	}
	return p.Rows(rows)
}

// Rows writes a table without heads, whatever the format is.
func (p Printer) Rows(rows [][]any) error { return p.table(nil, rows) }

func (p Printer) table(heads []string, rows [][]any) error {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	if p.Colour {
		style.Color.Header = text.Colors{text.Bold}
	}
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	if heads != nil {
		head := make(table.Row, len(heads))
		for i, h := range heads {
			head[i] = Safe(h)
		}
		t.AppendHeader(head)
	}
	for _, cells := range rows {
		for i, c := range cells {
			cells[i] = Safe(fmt.Sprint(c))
		}
		t.AppendRow(cells)
	}
	text := t.Render()
	if text == "" {
		return nil // There is neither a row nor a head.
	}
	_, err := fmt.Fprintln(p.Out, text)
	return err
}

// Text writes one line of text for people, whatever the format is.
func (p Printer) Text(text string) error {
	_, err := fmt.Fprintln(p.Out, Safe(text))
	return err
}
