// Package json reads and writes the data of events and commands, states and rows.
//
// It behaves as encoding/json does, from the package that is to become its next
// implementation and takes a third of the time. Once Go has that one by default,
// this package can go. It is the one place that chooses the library.
package json

import (
	jsonv2 "github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Marshal returns v as JSON.
func Marshal(v any) ([]byte, error) { return jsonv1.Marshal(v) }

// Unmarshal reads JSON into v, which must be a pointer. Only the texts of its errors
// differ from those of encoding/json, which reads everything twice for them.
func Unmarshal(data []byte, v any) error {
	return jsonv2.Unmarshal(data, v, jsonv1.DefaultOptionsV1(), jsonv1.ReportErrorsWithLegacySemantics(false))
}
