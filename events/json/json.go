// Package json reads and writes the data of events and commands, states and rows. It is
// the one place that chooses the library: the package that is to become the next
// encoding/json, which takes a third of the time, with the behaviour of the current one.
// Once it is the default of Go, this package can be removed.
package json

import (
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Marshal returns v as JSON.
func Marshal(v any) ([]byte, error) { return jsonv1.Marshal(v) }

// MarshalReadable is like [Marshal], but leaves <, > and & as they are: the result is for
// people and tools, not for a web page.
func MarshalReadable(v any) ([]byte, error) {
	return jsonv2.Marshal(v, jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false))
}

// MarshalCanonical returns v as JSON that is the same for equal values: without struct fields
// that have their zero value, and with the members of every object sorted.
func MarshalCanonical(v any) ([]byte, error) {
	out, err := jsonv2.Marshal(v, jsonv1.DefaultOptionsV1(), jsonv2.OmitZeroStructFields(true))
	if err != nil {
		return nil, err
	}
	value := jsontext.Value(out)
	err = value.Format(jsontext.ReorderRawObjects(true))
	return value, err
}

// Unmarshal reads JSON into v, which must be a pointer. Only the texts of its errors
// differ from those of encoding/json, which reads everything twice for them.
func Unmarshal(data []byte, v any) error {
	return jsonv2.Unmarshal(data, v, jsonv1.DefaultOptionsV1(), jsonv1.ReportErrorsWithLegacySemantics(false))
}
