package events

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"reflect"
	"slices"
	"strconv"

	datajson "github.com/pitwheel/pitwheel/events/json"
)

// Catalogue knows every type that may travel: its wire name, its Go type, its
// aggregate, its schema version and how older versions are read. It is filled
// once at start and only read afterwards, from any number of goroutines.
type Catalogue struct {
	aggregates map[string]*AggregateType
	states     map[reflect.Type]*AggregateType
	types      map[string]*Type
}

// AggregateType is one kind of aggregate.
type AggregateType struct {
	Name string
	// Fold rebuilds the state from a history and returns it. It is nil for the
	// events of a foreign producer, which have no state here.
	Fold func(*Catalogue, History) (any, error)
	// StateSchema names the shape of the state, for snapshots.
	StateSchema string
}

// Type is one event or command type.
type Type struct {
	Name      string
	Aggregate string
	Command   bool
	// Schema is the current schema version, from 1 on.
	Schema int
	// Go is the Go type of the data.
	Go reflect.Type
	// decode reads data of the current schema version.
	decode func(json.RawMessage) (any, error)
	// upcasters[v] turns data of version v into data of version v+1.
	upcasters map[int]func(json.RawMessage) (json.RawMessage, error)
}

// Entry declares one type, or the state, of an aggregate.
type Entry func(c *Catalogue, aggregate string) error

// Domain puts the types of one domain into a catalogue, as the function Register of a
// domain package does.
type Domain func(*Catalogue) error

// NewCatalogue returns an empty catalogue.
func NewCatalogue() *Catalogue {
	return &Catalogue{
		aggregates: map[string]*AggregateType{},
		states:     map[reflect.Type]*AggregateType{},
		types:      map[string]*Type{},
	}
}

// Aggregate declares an aggregate with its state, commands and events. The name
// is part of the wire: it gives the exchanges {name}.events and {name}.commands.
func (c *Catalogue) Aggregate(name string, entries ...Entry) error {
	if name == "" {
		return Errorf(CodeConfig, "an aggregate has no name")
	}
	if _, ok := c.aggregates[name]; ok {
		return Errorf(CodeConfig, "the aggregate %q is declared twice", name)
	}
	c.aggregates[name] = &AggregateType{Name: name}
	for _, e := range entries {
		if err := e(c, name); err != nil {
			return fmt.Errorf("aggregate %q: %w", name, err)
		}
	}
	return nil
}

// Upcast turns data of one schema version into data of the next one.
type Upcast struct {
	From int
	Func func(json.RawMessage) (json.RawMessage, error)
}

// EventOf declares the event type E. Upcasters are given for every older schema
// version, from 1 on without gap; the current version is one more than the last.
func EventOf[E Data](upcasts ...Upcast) Entry {
	return func(c *Catalogue, aggregate string) error {
		var zero E
		t := &Type{Name: zero.EventType(), Aggregate: aggregate, Schema: len(upcasts) + 1, Go: reflect.TypeFor[E](), decode: decodeAs[E]}
		for i, u := range upcasts {
			if u.From != i+1 || u.Func == nil {
				return Errorf(CodeConfig, "event %q: upcaster %d is from version %d; declare them from 1 on without gap", t.Name, i+1, u.From)
			}
			if t.upcasters == nil {
				t.upcasters = map[int]func(json.RawMessage) (json.RawMessage, error){}
			}
			t.upcasters[u.From] = u.Func
		}
		return c.add(t)
	}
}

// CommandOf declares the command type C.
func CommandOf[C Command]() Entry {
	return func(c *Catalogue, aggregate string) error {
		var zero C
		t := reflect.TypeFor[C]()
		if t.Kind() == reflect.Struct {
			for i := range t.NumField() {
				if f := t.Field(i); f.Anonymous {
					return Errorf(CodeConfig, "the command %s embeds %s, whose fields a sender could not be told of; write them out, or give it a name", t, f.Type)
				}
			}
		}
		return c.add(&Type{Name: zero.CommandType(), Aggregate: aggregate, Command: true, Schema: 1, Go: reflect.TypeFor[C](), decode: decodeAs[C]})
	}
}

// StateOf declares the state that the aggregate's events fold into.
func StateOf[S State[S]]() Entry {
	return func(c *Catalogue, aggregate string) error {
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

func (c *Catalogue) add(t *Type) error {
	if t.Name == "" {
		return Errorf(CodeConfig, "the type %s has no wire name; its zero value must answer one", t.Go)
	}
	if other, ok := c.types[t.Name]; ok {
		return Errorf(CodeConfig, "the wire name %q is given to both %s and %s", t.Name, other.Go, t.Go)
	}
	c.types[t.Name] = t
	return nil
}

// Lookup returns the type of a wire name.
func (c *Catalogue) Lookup(name string) (*Type, bool) {
	t, ok := c.types[name]
	return t, ok
}

// LookupAggregate returns the aggregate of a name.
func (c *Catalogue) LookupAggregate(name string) (*AggregateType, bool) {
	a, ok := c.aggregates[name]
	return a, ok
}

// AggregateOfState returns the aggregate whose state has the given Go type.
func (c *Catalogue) AggregateOfState(t reflect.Type) (*AggregateType, bool) {
	a, ok := c.states[t]
	return a, ok
}

// Commands returns the wire names of all commands, sorted.
func (c *Catalogue) Commands() []string { return c.names(true) }

// Events returns the wire names of all events, sorted.
func (c *Catalogue) Events() []string { return c.names(false) }

// Aggregates returns the names of all aggregates, sorted.
func (c *Catalogue) Aggregates() []string {
	out := make([]string, 0, len(c.aggregates))
	for name := range c.aggregates {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (c *Catalogue) names(command bool) []string {
	var out []string
	for name, t := range c.types {
		if t.Command == command {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// DecodeData returns the typed data of an envelope, brought up to the current
// schema version. The result has the declared Go type, not a pointer to it.
// Errors have the code UNKNOWN_TYPE or UNDECODABLE.
func (c *Catalogue) DecodeData(e Envelope) (any, error) {
	t, ok := c.types[e.Type]
	if !ok {
		return nil, Errorf(CodeUnknownType, "the type %q is not in the catalogue", e.Type)
	}
	data, err := t.Current(e.SchemaVersion, e.Data)
	if err != nil {
		return nil, err
	}
	v, err := t.decode(data)
	if err != nil {
		return nil, Errorf(CodeUndecodable, "the data of %s %s does not fit its type: %w", e.Type, e.ID, err)
	}
	return v, nil
}

// Current brings data of the given schema version up to the current one. A
// version from the future is an error: to read it as something older could
// silently lose what it says.
func (t *Type) Current(version int, data json.RawMessage) (json.RawMessage, error) {
	if version == 0 {
		version = 1
	}
	if version > t.Schema || version < 0 {
		return nil, Errorf(CodeUndecodable, "%s has schema version %d, and this program knows versions 1 to %d; deploy the newer program first", t.Name, version, t.Schema)
	}
	for v := version; v < t.Schema; v++ {
		var err error
		if data, err = t.upcasters[v](data); err != nil {
			return nil, Errorf(CodeUndecodable, "%s could not be brought from schema version %d to %d: %w", t.Name, v, v+1, err)
		}
	}
	return data, nil
}

// Fold rebuilds an aggregate's state from its history.
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
			return state, Errorf(CodeUndecodable, "version %d of %s %s is no event but %T", e.Version, e.Aggregate, e.AggregateID, v)
		}
		state = state.Apply(data)
	}
	return state, nil
}

func decodeAs[T any](data json.RawMessage) (any, error) {
	var v T
	if err := datajson.Unmarshal(data, &v); err != nil {
		return nil, err
	}
	return v, nil
}

// shape fingerprints a state type, so that a snapshot made by another version of
// the program is not read into fields that mean something else. A state whose
// Apply changes while its fields do not says so with SnapshotVersion.
func shape(t reflect.Type) string {
	h := fnv.New64a()
	describe(h, t, map[reflect.Type]bool{})
	if v, ok := reflect.Zero(t).Interface().(interface{ SnapshotVersion() int }); ok {
		_, _ = fmt.Fprintf(h, "#%d", v.SnapshotVersion())
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// describe writes all that a type is made of, each struct once.
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
