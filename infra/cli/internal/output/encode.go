package output

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pitwheel/pitwheel/events/json"
)

// encode writes a value as YAML, or as one line of JSON. YAML is made from the JSON, so
// that names and order of the fields are the same.
func (p Printer) encode(v any) error {
	text, err := json.MarshalReadable(v)
	if err != nil {
		return err
	}
	if p.Format != YAML {
		_, err = fmt.Fprintf(p.Out, "%s\n", text)
		return err
	}
	dec := stdjson.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	node, err := nextNode(dec)
	if err != nil {
		return err
	}
	enc := yaml.NewEncoder(p.Out)
	enc.SetIndent(2)
	return errors.Join(enc.Encode(node), enc.Close())
}

// nextNode reads one JSON value as a YAML node.
func nextNode(dec *stdjson.Decoder) (*yaml.Node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{}
	switch token {
	case stdjson.Delim('{'):
		node.Kind = yaml.MappingNode
	case stdjson.Delim('['):
		node.Kind = yaml.SequenceNode
	default:
		if number, ok := token.(stdjson.Number); ok {
			return &yaml.Node{Kind: yaml.ScalarNode, Value: number.String()}, nil
		}
		if s, ok := token.(string); ok && strings.Contains(s, "\t") {
			// By itself the library writes some texts with a tab in a way that it cannot read.
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}, nil
		}
		return node, node.Encode(token)
	}
	for dec.More() {
		// The keys of an object come as values of their own, as in YAML.
		child, err := nextNode(dec)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, child)
	}
	_, err = dec.Token() // The end of the object or array.
	return node, err
}

// Field is one field of a JSON object; its value is for people.
type Field struct{ Name, Value string }

// Fields returns the fields of a value's JSON object, in their order. A value that is not
// an object is a single field without a name.
func Fields(v any) ([]Field, error) {
	object, err := json.MarshalReadable(v)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(object, []byte("{")) {
		return []Field{{"", plain(object)}}, nil
	}
	dec := stdjson.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil { // The opening brace.
		return nil, err
	}
	var out []Field
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value stdjson.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		out = append(out, Field{fmt.Sprint(name), plain(value)})
	}
	return out, nil
}

// plain returns a JSON value for people: a string without its quotes, unless it holds
// control characters.
func plain(value []byte) string {
	var s string
	if json.Unmarshal(value, &s) == nil && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return s
	}
	return string(value)
}
