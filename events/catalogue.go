package events

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	datajson "github.com/pitwheel/pitwheel/events/json"
)

// Catalogue has every command and event type of an application: its wire name, its Go
// type, its aggregate, its schema version, and how older versions are read. It is filled
// once at start. After that it is safe for concurrent use.
type Catalogue struct {
	aggregates map[string]*AggregateType
	states     map[reflect.Type]*AggregateType
	types      map[string]*Type
}

// AggregateType describes a kind of aggregate.
type AggregateType struct {
	Name string
	// Fold returns the state after a history. It is nil for an aggregate without a state,
	// such as one of another service whose events are only reacted to.
	Fold func(*Catalogue, History) (any, error)
	// StateSchema is a fingerprint of the state's type: a snapshot with another one is not used.
	StateSchema string
}

// Type describes an event or command type.
type Type struct {
	// Name is the wire name, such as USER_CREATED.
	Name      string
	Aggregate string
	// Command is false for an event.
	Command bool
	// Schema is the current schema version, 1 or more.
	Schema int
	// Go is the Go type of the data.
	Go reflect.Type
	// decode is Decode into a new value of the Go type, which it returns.
	decode func(*Type, *Envelope) (any, error)
	// upcasters has, by version, what turns its data into data of the next version.
	upcasters map[int]func(json.RawMessage) (json.RawMessage, error)
	required  *requirements
}

// Entry declares a type or the state of an aggregate. Make it with [EventOf],
// [CommandOf] or [StateOf].
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

// Aggregate declares an aggregate with its state, commands and events. The name is part
// of the wire format: it gives the topics {name}.events and {name}.commands. It has at
// most 180 bytes, a wire name of a type at most 255, and neither has white space or control
// characters. What is wrong is an error with the code CONFIG that names the aggregate.
func (c *Catalogue) Aggregate(name string, entries ...Entry) error {
	if name == "" {
		return Errorf(CodeConfig, "an aggregate has no name")
	}
	if _, ok := c.aggregates[name]; ok {
		return Errorf(CodeConfig, "the aggregate %q is declared twice", name)
	}
	if err := checkName(name, maxAggregateName); err != nil {
		return Errorf(CodeConfig, "the aggregate %.80q has a name that %w", name, err)
	}
	c.aggregates[name] = &AggregateType{Name: name}
	for i, e := range entries {
		if e == nil {
			return Errorf(CodeConfig, "aggregate %q: entry %d is nil; make entries with events.EventOf, events.CommandOf and events.StateOf", name, i+1)
		}
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

// EventOf declares the event type E, with an upcaster for every older schema version,
// from 1 on without a gap. The current version is one more than the last of these, and 1
// without any. E must not be a pointer, and its data must be writable as JSON.
func EventOf[E Data](upcasts ...Upcast) Entry {
	return func(c *Catalogue, aggregate string) error {
		name, err := EventName[E]()
		if err != nil {
			return err
		}
		t := &Type{Name: name, Aggregate: aggregate, Schema: len(upcasts) + 1, Go: reflect.TypeFor[E](), decode: decodeAs[E]}
		for i, u := range upcasts {
			if u.From != i+1 || u.Func == nil {
				return Errorf(CodeConfig, "event %q: upcaster %d is from version %d; declare them from 1 on without a gap", t.Name, i+1, u.From)
			}
			if t.upcasters == nil {
				t.upcasters = map[int]func(json.RawMessage) (json.RawMessage, error){}
			}
			t.upcasters[u.From] = u.Func
		}
		return c.add(t)
	}
}

// CommandOf declares the command type C, which must not be a pointer, and must be
// writable as JSON.
func CommandOf[C Command]() Entry {
	return func(c *Catalogue, aggregate string) error {
		name, err := CommandName[C]()
		if err != nil {
			return err
		}
		t := reflect.TypeFor[C]()
		if t.Kind() == reflect.Struct {
			for i := range t.NumField() {
				if f := t.Field(i); f.Anonymous {
					return Errorf(CodeConfig, "the command %s embeds %s, whose fields could not be listed for its senders; write them out, or give it a name", t, f.Type)
				}
			}
		}
		return c.add(&Type{Name: name, Aggregate: aggregate, Command: true, Schema: 1, Go: t, decode: decodeAs[C]})
	}
}

func (c *Catalogue) add(t *Type) error {
	if err := checkJSON(t.Go.String(), t.Go, map[reflect.Type]bool{}); err != nil {
		return err
	}
	switch other, ok := c.types[t.Name]; {
	case ok && other.Go == t.Go && other.Aggregate == t.Aggregate:
		return Errorf(CodeConfig, "the type %s (%q) is registered twice", t.Go, t.Name)
	case ok && other.Go == t.Go:
		return Errorf(CodeConfig, "the type %s (%q) is registered in two aggregates, %q and %q; a type belongs to one", t.Go, t.Name, other.Aggregate, t.Aggregate)
	case ok:
		return Errorf(CodeConfig, "the wire name %q is given to both %s and %s", t.Name, other.Go, t.Go)
	}
	t.required = requirementsOf(t.Go, map[reflect.Type]*requirements{})
	c.types[t.Name] = t
	return nil
}

// Lookup returns the type with a wire name, and reports whether it is in the catalogue.
func (c *Catalogue) Lookup(name string) (*Type, bool) {
	t, ok := c.types[name]
	return t, ok
}

// LookupAggregate returns the aggregate with a name, and reports whether it is in the
// catalogue.
func (c *Catalogue) LookupAggregate(name string) (*AggregateType, bool) {
	a, ok := c.aggregates[name]
	return a, ok
}

// AggregateOfState returns the aggregate whose state has the given Go type, and reports
// whether it is in the catalogue.
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

// DecodeData returns the typed data of an envelope, brought up to the current schema
// version. The result has the declared Go type, and is not a pointer to it. Errors have
// the code UNKNOWN_TYPE or UNDECODABLE.
func (c *Catalogue) DecodeData(e Envelope) (any, error) {
	t, ok := c.types[e.Type]
	if !ok {
		return nil, Errorf(CodeUnknownType, "the type %q is not in the catalogue", e.Type)
	}
	return t.decode(t, &e)
}

// Decode reads the data of an envelope into data, a pointer to the type's Go type,
// brought up to the current schema version. An error has the code UNDECODABLE.
func (t *Type) Decode(e *Envelope, data any) error {
	raw, err := t.Current(e.SchemaVersion, e.Data)
	if err != nil {
		return err
	}
	if err := datajson.Unmarshal(raw, data); err != nil {
		return Errorf(CodeUndecodable, "the data of %s %s does not fit its type: %w", e.Type, e.ID, explainMisread(raw, t.Go, err))
	}
	return nil
}

// Current returns data of the given schema version brought up to the current one; version
// 0 is taken for 1. A version from the future is an error with the code UNDECODABLE: if
// it were read as an older one, parts of it could be lost without notice.
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

func decodeAs[T any](t *Type, e *Envelope) (any, error) {
	var v T
	if err := t.Decode(e, &v); err != nil {
		return nil, err
	}
	return v, nil
}
