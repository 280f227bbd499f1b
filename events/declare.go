package events

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxTypeName bounds a wire name, in bytes: RabbitMQ has it as a routing key.
	maxTypeName = 255
	// maxAggregateName leaves room for a namespace and a suffix in the 255 bytes that
	// RabbitMQ allows for the name of an exchange.
	maxAggregateName = 180
)

// EventName returns the wire name of the event type E, which its zero value gives. A type
// that cannot be declared, such as a pointer, is an error with the code CONFIG that names
// the type.
func EventName[E Data]() (string, error) {
	return wireName[E]("event", func(zero E) string { return zero.EventType() })
}

// CommandName is [EventName] for the command type C.
func CommandName[C Command]() (string, error) {
	return wireName[C]("command", func(zero C) string { return zero.CommandType() })
}

// CheckState returns an error with the code CONFIG if S, such as a pointer, cannot be
// declared as a state.
func CheckState[S State[S]]() error { return checkValueType("state", reflect.TypeFor[S]()) }

// wireName calls the method that gives the wire name on the zero value of T. A method of
// a nil pointer or interface is never called.
func wireName[T any](what string, name func(T) string) (out string, err error) {
	t := reflect.TypeFor[T]()
	if err := checkValueType(what, t); err != nil {
		return "", err
	}
	defer func() {
		if p := recover(); p != nil {
			err = Errorf(CodeConfig, "the %s %s panics when its zero value is asked for its wire name: %v; return a constant", what, t, p)
		}
	}()
	var zero T
	out = name(zero)
	if out == "" {
		return "", Errorf(CodeConfig, "the %s %s has no wire name; its zero value must return one", what, t)
	}
	if err := checkName(out, maxTypeName); err != nil {
		return "", Errorf(CodeConfig, "the %s %s has the wire name %.80q, which %w", what, t, out, err)
	}
	return out, nil
}

// checkValueType returns an error if t is a pointer or an interface: data is decoded into
// values, and their zero value must be usable.
func checkValueType(what string, t reflect.Type) error {
	switch t.Kind() {
	case reflect.Pointer:
		base := t
		for base.Kind() == reflect.Pointer {
			base = base.Elem()
		}
		return Errorf(CodeConfig, "the %s %s is a pointer; use %s, with methods that have a value receiver", what, t, base)
	case reflect.Interface:
		return Errorf(CodeConfig, "the %s %s is an interface; use a struct type", what, t)
	}
	return nil
}

// checkName returns what is wrong with a name that brokers and logs show, as the end of a
// sentence.
func checkName(name string, most int) error {
	switch {
	case len(name) > most:
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(name), most)
	case !utf8.ValidString(name):
		return fmt.Errorf("is not valid UTF-8")
	case strings.ContainsFunc(name, unicode.IsSpace):
		return fmt.Errorf("contains white space; use letters, digits, '_', '-' and '.'")
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("contains a control character; use letters, digits, '_', '-' and '.'")
	}
	return nil
}

// checkJSON returns an error that names the first part of a type that cannot be written as
// JSON. Types with a method of their own to write them are not looked into.
func checkJSON(path string, t reflect.Type, known map[reflect.Type]bool) error {
	if known[t] || writesItself(t) {
		return nil
	}
	known[t] = true
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return Errorf(CodeConfig, "%s is a %s, which cannot be written as JSON; leave it out, or give it the tag `json:\"-\"`", path, t)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return checkJSON(path, t.Elem(), known)
	case reflect.Map:
		switch k := t.Key().Kind(); {
		case k == reflect.String, k >= reflect.Int && k <= reflect.Uintptr, t.Key().Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		default:
			return Errorf(CodeConfig, "%s is a map whose keys, of type %s, cannot be written as JSON; use strings", path, t.Key())
		}
		return checkJSON(path, t.Elem(), known)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Tag.Get("json") == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			if !f.IsExported() && f.Type.Kind() != reflect.Struct {
				continue // Of an unexported embedded type only the fields of a struct are written.
			}
			if err := checkJSON(path+"."+f.Name, f.Type, known); err != nil {
				return err
			}
		}
	}
	return nil
}

// writesItself reports whether a type, or a pointer to it, has a method that writes JSON.
func writesItself(t reflect.Type) bool {
	for _, m := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()} {
		if t.Implements(m) || reflect.PointerTo(t).Implements(m) {
			return true
		}
	}
	return false
}
