package events

import (
	"fmt"
	"hash/fnv"
	"io"
	"reflect"
	"strconv"

	datajson "github.com/pitwheel/pitwheel/events/json"
)

// StateOf declares S, which must not be a pointer, as the state that the aggregate's events
// fold into.
func StateOf[S State[S]]() Entry {
	return func(c *Catalogue, aggregate string) (err error) {
		if err := CheckState[S](); err != nil {
			return err
		}
		defer func() {
			if p := recover(); p != nil {
				err = Errorf(CodeConfig, "the state %s panics when its zero value is asked for its SnapshotVersion: %v; return a constant", reflect.TypeFor[S](), p)
			}
		}()
		a := c.aggregates[aggregate]
		if a.Fold != nil {
			return Errorf(CodeConfig, "a second state, %s, is declared", reflect.TypeFor[S]())
		}
		if other, ok := c.states[reflect.TypeFor[S]()]; ok {
			return Errorf(CodeConfig, "the state %s belongs to the aggregate %q already", reflect.TypeFor[S](), other.Name)
		}
		a.StateSchema = shape(reflect.TypeFor[S]())
		a.Fold = func(c *Catalogue, h History) (any, error) { return Fold[S](c, h) }
		c.states[reflect.TypeFor[S]()] = a
		return nil
	}
}

// Fold returns an aggregate's state after its history. Errors have the code UNDECODABLE
// or UNKNOWN_TYPE.
func Fold[S State[S]](c *Catalogue, h History) (S, error) {
	var state S
	if h.Snapshot.Version > 0 {
		if err := datajson.Unmarshal(h.Snapshot.State, &state); err != nil {
			return state, Errorf(CodeUndecodable, "the snapshot at version %d does not fit %s: %w", h.Snapshot.Version, reflect.TypeFor[S](), err)
		}
	}
	for _, e := range h.Events {
		v, err := c.DecodeData(e.Envelope)
		if err != nil {
			return state, fmt.Errorf("version %d of %s %s: %w", e.Version, e.Aggregate, e.AggregateID, err)
		}
		data, ok := v.(Data)
		if !ok {
			return state, Errorf(CodeUndecodable, "version %d of %s %s is not an event but %T", e.Version, e.Aggregate, e.AggregateID, v)
		}
		state = state.Apply(data)
	}
	return state, nil
}

// shape returns a fingerprint of a state type, so that a snapshot written by another
// version of the program is not read into fields that mean something else. A state whose
// Apply changes while its fields do not has a method SnapshotVersion that returns a new
// number.
func shape(t reflect.Type) string {
	h := fnv.New64a()
	describe(h, t, map[reflect.Type]bool{})
	if v, ok := reflect.Zero(t).Interface().(interface{ SnapshotVersion() int }); ok {
		_, _ = fmt.Fprintf(h, "#%d", v.SnapshotVersion())
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// describe writes all that a type consists of, each struct once.
func describe(w io.Writer, t reflect.Type, known map[reflect.Type]bool) {
	_, _ = io.WriteString(w, t.String())
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		describe(w, t.Elem(), known)
	case reflect.Map:
		describe(w, t.Key(), known)
		describe(w, t.Elem(), known)
	case reflect.Struct:
		if known[t] {
			return
		}
		known[t] = true
		for i := range t.NumField() {
			f := t.Field(i)
			_, _ = fmt.Fprintf(w, ";%s %s ", f.Name, f.Tag)
			describe(w, f.Type, known)
		}
		_, _ = io.WriteString(w, "}")
	}
}
