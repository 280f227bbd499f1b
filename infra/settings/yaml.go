package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// yamlAsWritten reads a YAML document for koanf, with every value as the text that stands in
// the file: each setting has its own check, and YAML would take 0123 for 83.
type yamlAsWritten struct{}

// Unmarshal returns the document. A second one is an error: whoever has written it means it
// to be read.
func (yamlAsWritten) Unmarshal(text []byte) (map[string]any, error) {
	documents := yaml.NewDecoder(bytes.NewReader(text))
	var settings map[string]asWritten
	if err := documents.Decode(&settings); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var second yaml.Node
	switch err := documents.Decode(&second); {
	case err == nil:
		return nil, fmt.Errorf("line %d: a second document begins here, and only one is read; remove this line and put all settings into one", second.Line)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return plain(settings), nil
}

// Marshal is not used.
func (yamlAsWritten) Marshal(map[string]any) ([]byte, error) { return nil, errors.ErrUnsupported }

// asWritten is a value: nil, a string, a map[string]any or a []any.
type asWritten struct{ value any }

func (w *asWritten) UnmarshalYAML(node *yaml.Node) error {
	switch node.Kind {
	case yaml.ScalarNode:
		w.value = node.Value // The decoder leaves null out.
		return nil
	case yaml.SequenceNode:
		var list []asWritten
		if err := node.Decode(&list); err != nil {
			return err
		}
		values := make([]any, len(list))
		for i, v := range list {
			values[i] = v.value
		}
		w.value = values
		return nil
	}
	var fields map[string]asWritten
	if err := node.Decode(&fields); err != nil {
		return err
	}
	w.value = plain(fields)
	return nil
}

func plain(fields map[string]asWritten) map[string]any {
	values := make(map[string]any, len(fields))
	for name, v := range fields {
		values[name] = v.value
	}
	return values
}
