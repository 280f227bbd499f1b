package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"go.yaml.in/yaml/v3"
)

// The values of -o.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatJSONL = "jsonl"
	formatYAML  = "yaml"
)

func formats() []string { return []string{formatTable, formatJSON, formatJSONL, formatYAML} }

// printer writes data to stdout in the requested format. The machine
// formats come from the same JSON tags, so that they never differ.
type printer struct {
	out    io.Writer
	format string
	colour bool
}

// column is one column of the table that people see.
type column[T any] struct {
	head string
	cell func(T) string
}

// printList writes a list: an array in JSON and YAML, one line per item in JSON Lines.
func printList[T any](p printer, items []T, columns ...column[T]) error {
	if items == nil {
		items = []T{}
	}
	switch p.format {
	case formatJSON:
		return p.json(items)
	case formatYAML:
		return p.yaml(items)
	case formatJSONL:
		for _, item := range items {
			if err := p.json(item); err != nil {
				return err
			}
		}
		return nil
	}
	var head []string
	for _, c := range columns {
		head = append(head, c.head)
	}
	rows := make([][]string, len(items))
	for i, item := range items {
		for _, c := range columns {
			rows[i] = append(rows[i], c.cell(item))
		}
	}
	return p.table(head, rows)
}

// printOne writes a single thing: an object, and for people a table of its fields.
func printOne(p printer, v any) error {
	switch p.format {
	case formatJSON, formatJSONL:
		return p.json(v)
	case formatYAML:
		return p.yaml(v)
	}
	fields, err := fieldsOf(v)
	if err != nil {
		return err
	}
	return p.table(nil, fields)
}

func (p printer) json(v any) error {
	text, err := compact(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "%s\n", text)
	return err
}

// yaml goes through JSON, so that names and order of the fields are the same.
func (p printer) yaml(v any) error {
	text, err := compact(v)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	node, err := nextNode(dec)
	if err != nil {
		return err
	}
	enc := yaml.NewEncoder(p.out)
	enc.SetIndent(2)
	return errors.Join(enc.Encode(node), enc.Close())
}

// nextNode reads one JSON value as a YAML node.
func nextNode(dec *json.Decoder) (*yaml.Node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{}
	switch token {
	case json.Delim('{'):
		node.Kind = yaml.MappingNode
	case json.Delim('['):
		node.Kind = yaml.SequenceNode
	default:
		if number, ok := token.(json.Number); ok {
			return &yaml.Node{Kind: yaml.ScalarNode, Value: number.String()}, nil
		}
		if s, ok := token.(string); ok && strings.Contains(s, "\t") {
			// By itself the library writes some texts with a tab in a way that it cannot read.
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}, nil
		}
		return node, node.Encode(token)
	}
	for dec.More() {
		// The keys of an object come as values of their own, as YAML wants them.
		child, err := nextNode(dec)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, child)
	}
	_, err = dec.Token() // The end of the object or array.
	return node, err
}

func (p printer) table(head []string, rows [][]string) error {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	if p.colour {
		style.Color.Header = text.Colors{text.Bold}
	}
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	if head != nil {
		t.AppendHeader(row(head))
	}
	for _, r := range rows {
		t.AppendRow(row(r))
	}
	_, err := fmt.Fprintln(p.out, t.Render())
	return err
}

func row(cells []string) table.Row {
	out := make(table.Row, len(cells))
	for i, c := range cells {
		out[i] = safeText(c, false) // Much of what is shown comes from other services.
	}
	return out
}

// compact returns v as JSON on one line, with <, > and & as they are.
func compact(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// fieldsOf returns the fields of a value as names and texts, in their order.
func fieldsOf(v any) ([][]string, error) {
	object, err := compact(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(object))
	if !bytes.HasPrefix(object, []byte("{")) {
		return [][]string{{"", plainText(object)}}, nil
	}
	if _, err := dec.Token(); err != nil { // The opening brace.
		return nil, err
	}
	var out [][]string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		out = append(out, []string{fmt.Sprint(name), plainText(value)})
	}
	return out, nil
}

// plainText returns a JSON value for people: a string without its quotes, unless it
// holds control characters.
func plainText(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return s
	}
	return string(value)
}

// stream prints items as they arrive: a list whose end is not known.
type stream[T any] struct {
	p     printer
	line  func(T) string
	count int
}

// Put prints one more item.
func (s *stream[T]) Put(v T) error {
	s.count++
	switch s.p.format {
	case formatJSONL:
		return s.p.json(v)
	case formatYAML:
		return s.p.yaml([]T{v})
	case formatJSON:
		text, err := compact(v)
		if err != nil {
			return err
		}
		open := ",\n"
		if s.count == 1 {
			open = "["
		}
		_, err = fmt.Fprintf(s.p.out, "%s%s", open, text)
		return err
	}
	_, err := fmt.Fprintln(s.p.out, s.line(v))
	return err
}

// Close ends the list, so that JSON is whole even after an interruption.
func (s *stream[T]) Close() error {
	var end string
	switch {
	case s.p.format == formatJSON && s.count == 0, s.p.format == formatYAML && s.count == 0:
		end = "[]\n"
	case s.p.format == formatJSON:
		end = "]\n"
	}
	_, err := io.WriteString(s.p.out, end)
	return err
}

func checkFormat(format string) error {
	if slices.Contains(formats(), format) {
		return nil
	}
	return usagef("-o is %q; it must be %s", format, strings.Join(formats(), ", "))
}
