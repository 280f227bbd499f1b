package events

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Field describes a field of a type's data, for help texts and checks.
type Field struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"` // string, number, boolean, object or array
	Required bool   `json:"required"`
	Doc      string `json:"doc,omitempty"` // from the struct tag `doc`
}

// Fields returns the fields of the data in the order of the Go struct; nil if that is not
// a struct or has its own UnmarshalJSON. A field is required unless its JSON tag has
// omitempty or omitzero.
func (t *Type) Fields() []Field {
	var out []Field
	if _, own := reflect.New(t.Go).Interface().(json.Unmarshaler); own || t.Go.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.Go.NumField() {
		f := t.Go.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out = append(out, Field{
			Name: name, Kind: kind(f.Type), Doc: f.Tag.Get("doc"),
			Required: !strings.Contains(opts, "omitempty") && !strings.Contains(opts, "omitzero"),
		})
	}
	return out
}

func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.Pointer:
		return kind(t.Elem())
	case reflect.Struct, reflect.Map:
		if t.String() == "time.Time" {
			return "string"
		}
		return "object"
	default:
		return "string"
	}
}

// misfit returns an error for the first field whose value its type does not accept, or
// that has a field within that its type does not have.
func (t *Type) misfit(given map[string]json.RawMessage) error {
	if t.Go.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.Go.NumField() {
		f := t.Go.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		name = cmp.Or(name, f.Name)
		value, ok := given[name]
		if !ok || !f.IsExported() || strings.Contains(opts, "string") {
			continue // The option "string" belongs to the field, not its type: decoding all of the data checks it.
		}
		dec := json.NewDecoder(bytes.NewReader(value))
		dec.DisallowUnknownFields()
		err := dec.Decode(reflect.New(f.Type).Interface())
		var wrong *json.UnmarshalTypeError
		switch {
		case errors.As(err, &wrong):
			if wrong.Field != "" {
				name += "." + wrong.Field
			}
			return Invalid(name, "%s", mustBe(wrong))
		case err != nil:
			return Invalid(name, "does not fit: %s", strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	return nil
}

func article(noun string) string {
	if noun == "object" || noun == "array" {
		return "an " + noun
	}
	return "a " + noun
}

// ParseCommand reads the data of a command from outside, strictly: a missing or unknown
// field is an error, and so is an unknown field within a field. It calls Validate if the
// command is a [Validator]. If the data are wrong, the error is a [Rejection] with the
// code INVALID and the field's name; an unknown type is an [Error] with the code
// UNKNOWN_TYPE.
func (c *Catalogue) ParseCommand(name string, data json.RawMessage) (Command, error) {
	t, ok := c.types[name]
	if !ok || !t.Command {
		return nil, Errorf(CodeUnknownType, "nobody handles the command %q", name).
			WithHint("known commands: %s", strings.Join(c.Commands(), ", "))
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(data, &given); err != nil || given == nil {
		return nil, Reject(CodeInvalid, "the data of %s is not a JSON object: it must hold %s", name, t.fieldNames())
	}
	// A misspelt field comes first: it is why another one is missing.
	fields := t.Fields()
	for _, extra := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(fields, func(f Field) bool { return f.Name == extra }) {
			return nil, Invalid(extra, "is not a field of %s; it has %s", name, t.fieldNames())
		}
	}
	for _, f := range fields {
		v, ok := given[f.Name]
		if f.Required && (!ok || bytes.Equal(v, []byte("null"))) {
			return nil, Invalid(f.Name, "is missing; %s has the fields %s", name, t.fieldNames())
		}
	}
	if err := t.misfit(given); err != nil {
		return nil, err
	}
	if path := t.MissingField(data); path != "" { // within a field
		return nil, Invalid(path, "is missing; %s has the fields %s", name, t.fieldNames())
	}
	v, err := t.decode(t, &Envelope{Header: Header{Type: name}, Data: data})
	if err != nil {
		return nil, Reject(CodeInvalid, "the data of %s does not fit: %s", name, errors.Unwrap(err))
	}
	cmd := v.(Command) // CommandOf accepts nothing else.
	if v, ok := cmd.(Validator); ok {
		if err := v.Validate(); err != nil {
			return nil, err
		}
	}
	return cmd, nil
}

func (t *Type) fieldNames() string {
	var names []string
	for _, f := range t.Fields() {
		if f.Required {
			names = append(names, f.Name)
		} else {
			names = append(names, f.Name+" (optional)")
		}
	}
	return strings.Join(names, ", ")
}
