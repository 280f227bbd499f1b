package events

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
)

// requirements are the fields that JSON of a type must have, at any depth. Nil: none.
type requirements struct {
	fields   []requiredField
	elements *requirements // of each element of an array, or each member of a map
	isMap    bool
}

// requiredField is a field of a struct that is required, or that has required fields within.
type requiredField struct {
	name     string
	required bool
	nullable bool // null is a value of its own: of a slice, a map or an interface
	within   *requirements
}

// MissingField returns the path, such as address.street or lines[0].sku, of the first field
// that data of the current schema lack and that is required: its JSON tag has neither
// omitempty nor omitzero, and it is not a pointer. It is empty if nothing is missing, if the
// type, or that of the field, reads its JSON itself, and if data are not JSON of that form.
func (t *Type) MissingField(data json.RawMessage) string {
	if t.required == nil {
		return ""
	}
	path, _ := t.required.missing(data)
	return path
}

// requirementsOf returns what a Go type requires.
func requirementsOf(t reflect.Type, known map[reflect.Type]*requirements) *requirements {
	if r, ok := known[t]; ok {
		return r // It may still be filled: a type can contain itself.
	}
	if readsItself(t) {
		return nil
	}
	r := &requirements{}
	switch t.Kind() {
	case reflect.Pointer:
		return requirementsOf(t.Elem(), known)
	case reflect.Slice, reflect.Array, reflect.Map:
		known[t] = r
		r.elements, r.isMap = requirementsOf(t.Elem(), known), t.Kind() == reflect.Map
		if r.elements == nil {
			known[t] = nil
			return nil
		}
		return r
	case reflect.Struct:
		known[t] = r
		if r.fields = requiredFields(t, known); len(r.fields) == 0 {
			known[t] = nil
		}
		return known[t]
	}
	return nil
}

// requiredFields returns the fields of a struct that are required or have requirements, with
// those of embedded structs. Of fields that have one name, as far as JSON is concerned, only
// the outermost counts.
func requiredFields(t reflect.Type, known map[reflect.Type]*requirements) []requiredField {
	const outer = 2 // counts as much as two embedded ones
	var out, embedded []requiredField
	names := map[string]int{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, opts, _ := strings.Cut(tag, ",")
		options := strings.Split(opts, ",")
		switch {
		case tag == "-" || !f.IsExported() && !f.Anonymous,
			slices.Contains(options, "inline"), slices.Contains(options, "unknown"), slices.Contains(options, "embed"):
			continue
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct && !readsItself(f.Type):
			if r := requirementsOf(f.Type, known); r != nil {
				embedded = append(embedded, r.fields...)
			}
			continue
		case f.Anonymous && name == "": // The fields of an embedded pointer may all be missing.
			continue
		}
		if name == "" {
			name = f.Name
		}
		names[strings.ToLower(name)] = outer
		field := requiredField{name: name, within: requirementsOf(f.Type, known)}
		switch f.Type.Kind() {
		case reflect.Pointer:
		case reflect.Slice, reflect.Map, reflect.Interface:
			field.nullable = true
			fallthrough
		default:
			field.required = !slices.Contains(options, "omitempty") && !slices.Contains(options, "omitzero")
		}
		if field.required || field.within != nil {
			out = append(out, field)
		}
	}
	for _, f := range embedded {
		names[strings.ToLower(f.name)]++
	}
	for _, f := range embedded {
		if names[strings.ToLower(f.name)] == 1 { // Of two on one level JSON reads neither.
			out = append(out, f)
		}
	}
	return out
}

// readsItself reports whether a type, or a pointer to it, has a method of its own that reads
// or writes its JSON, so that nothing is known of it.
func readsItself(t reflect.Type) bool {
	for _, m := range []reflect.Type{
		reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](), reflect.TypeFor[jsonv2.UnmarshalerFrom](), reflect.TypeFor[jsonv2.MarshalerTo](),
	} {
		if t.Implements(m) || reflect.PointerTo(t).Implements(m) {
			return true
		}
	}
	return writesItself(t)
}

// missing returns the path of the first field that is missing in the value that b begins
// with, and what follows the value; nil if b is not JSON.
func (r *requirements) missing(b []byte) (path string, rest []byte) {
	b = skipSpace(b)
	switch {
	case r == nil, len(b) == 0, b[0] == '{' && r.elements != nil && !r.isMap, b[0] == '[' && (r.elements == nil || r.isMap):
		return "", skipValue(b)
	case b[0] == '[':
		return r.missingInArray(b[1:])
	case b[0] == '{':
		return r.missingInObject(b[1:])
	}
	return "", skipValue(b) // Null, which is a pointer's; anything else does not fit.
}

func (r *requirements) missingInArray(b []byte) (string, []byte) {
	if b = skipSpace(b); len(b) > 0 && b[0] == ']' {
		return "", b[1:]
	}
	for i := 0; ; i++ {
		path, rest := r.elements.missing(b)
		if path != "" {
			return "[" + strconv.Itoa(i) + "]" + joined(path), nil
		}
		var more bool
		if b, more = separated(rest, ']'); !more {
			return "", b
		}
	}
}

func (r *requirements) missingInObject(b []byte) (path string, rest []byte) {
	var given [16]bool // which fields are there; the heap is for types with more
	there := given[:]
	if len(r.fields) > len(given) {
		there = make([]bool, len(r.fields))
	}
	more := true
	if b = skipSpace(b); len(b) > 0 && b[0] == '}' {
		b, more = b[1:], false
	}
	for more {
		var name []byte
		if name, b = memberName(skipSpace(b)); b == nil {
			return "", nil
		}
		within := r.elements
		if !r.isMap {
			if i := r.find(name); i >= 0 {
				within = r.fields[i].within
				there[i] = true
				if value := skipSpace(b); len(value) > 0 && value[0] == 'n' && !r.fields[i].nullable {
					there[i] = false
				}
			}
		}
		if path, b = within.missing(b); path != "" {
			return string(name) + joined(path), nil
		}
		b, more = separated(b, '}')
	}
	if b == nil {
		return "", nil
	}
	for i := range r.fields {
		if r.fields[i].required && !there[i] {
			return r.fields[i].name, nil
		}
	}
	return "", b
}

// find returns the index of the field that a member is read into, or -1. Like the decoder, it
// does not insist on the case of letters.
func (r *requirements) find(name []byte) int {
	for i := range r.fields {
		if r.fields[i].name == string(name) {
			return i
		}
	}
	for i := range r.fields {
		if bytes.EqualFold([]byte(r.fields[i].name), name) {
			return i
		}
	}
	return -1
}

// joined returns a path as it follows that of what contains it.
func joined(path string) string {
	if path[0] == '[' {
		return path
	}
	return "." + path
}
