package router

import (
	"errors"
	"reflect"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// ErrDeleteRow is returned by a projection's case to delete the row. It is not a failure.
var ErrDeleteRow = errors.New("delete this row")

// Project declares a projection: rows that its cases keep up to date from the log, each
// event applied exactly once. All cases share one row type, and each event type has one
// case.
func Project(name string, cases ...ProjectionCase) Handler {
	p := &projection{cases: map[string]ProjectionCase{}}
	h := declare(name, p, nil, true, nil)
	wrong := func(format string, args ...any) {
		h.err = errors.Join(h.err, events.Errorf(events.CodeConfig, format, args...))
	}
	if len(cases) == 0 {
		wrong("it has no cases; give it at least one router.Case")
	}
	for _, c := range cases {
		if c.err != nil {
			wrong("%w", c.err)
			continue
		}
		if c.apply == nil {
			wrong("a case has no function; make cases with router.Case")
			continue
		}
		if _, ok := p.cases[c.event.name]; ok {
			wrong("it has two cases for %s", c.event.name)
		}
		if first := cases[0].row; first != c.row {
			wrong("its cases have different row types, %s and %s", first, c.row)
		}
		p.cases[c.event.name] = c
		p.events = append(p.events, c.event)
		p.codec = c.codec
	}
	return h
}

// ProjectionCase is how events of one type change a projection's rows. Make it with
// [Case] or [CaseBy].
type ProjectionCase struct {
	event dataType
	row   reflect.Type
	key   func(*events.Type, *events.Envelope) (string, error)
	apply func(row any, t *events.Type, e *events.Envelope) error
	codec rowCodec
	err   error // what is wrong with the event's type
}

// Case declares how events of type E change the row whose key is the aggregate's id. A
// row that does not exist yet is the zero value. f must be a plain function of its
// arguments. What it leaves in *row is stored, unless it returns an error; it returns
// [ErrDeleteRow] to delete the row.
func Case[R any, E events.Data](f func(row *R, e Event[E]) error) ProjectionCase {
	return caseOf(nil, f)
}

// CaseBy is [Case] for rows that have another key than the aggregate's id. An event
// whose key is empty changes no row.
func CaseBy[R any, E events.Data](key func(Event[E]) string, f func(row *R, e Event[E]) error) ProjectionCase {
	return caseOf(key, f)
}

func caseOf[R any, E events.Data](key func(Event[E]) string, f func(row *R, e Event[E]) error) ProjectionCase {
	name, err := events.EventName[E]()
	c := ProjectionCase{event: dataType{name, reflect.TypeFor[E]()}, row: reflect.TypeFor[R](), codec: rowCodecOf[R](), err: err}
	c.key = func(_ *events.Type, e *events.Envelope) (string, error) { return e.AggregateID, nil }
	if key != nil {
		c.key = func(t *events.Type, e *events.Envelope) (string, error) {
			event := Event[E]{Header: e.Header}
			if err := t.Decode(e, &event.Data); err != nil {
				return "", err
			}
			return key(event), nil
		}
	}
	if f != nil {
		c.apply = func(row any, t *events.Type, e *events.Envelope) error {
			event := Event[E]{Header: e.Header}
			if err := t.Decode(e, &event.Data); err != nil {
				return err
			}
			return f(row.(*R), event)
		}
	}
	return c
}

// projection is what [Project] declares.
type projection struct {
	events []dataType
	cases  map[string]ProjectionCase // by the event's wire name
	codec  rowCodec                  // that of all cases
}

func (p *projection) kind() Kind           { return KindProjection }
func (p *projection) consumes() []dataType { return p.events }

// rowCodec reads and writes rows of one type; nil text is a new, zero row.
type rowCodec struct {
	decode func([]byte) (any, error)
	encode func(any) ([]byte, error)
}

func rowCodecOf[R any]() rowCodec {
	return rowCodec{
		decode: func(text []byte) (any, error) {
			row := new(R)
			if text == nil {
				return row, nil
			}
			return row, json.Unmarshal(text, row)
		},
		encode: json.Marshal,
	}
}
