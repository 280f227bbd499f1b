package router

import (
	"errors"
	"reflect"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// ErrDeleteRow is what a projection's case returns to delete the row. It is not a failure.
var ErrDeleteRow = errors.New("delete this row")

// ProjectionCase is how one event type changes a projection's rows. Make it with
// [Case] or [CaseBy].
type ProjectionCase struct {
	typ   string
	data  reflect.Type
	row   reflect.Type
	key   func(*events.Type, *events.Envelope) (string, error)
	apply func(row any, t *events.Type, e *events.Envelope) error
	codec rowCodec
}

// projectionSpec is what a projection's declaration comes to.
type projectionSpec struct {
	cases map[string]ProjectionCase
}

// rowCodec reads and writes rows of one type; a nil text is a new, zero row.
type rowCodec struct {
	decode func([]byte) (any, error)
	encode func(any) ([]byte, error)
}

// Case declares how events of type E change the row whose key is the aggregate's
// id. The row is zero if there is none yet. f must be a plain function of its
// arguments; what it leaves in *row is stored, unless it returns an error.
func Case[R any, E events.Data](f func(row *R, e Event[E]) error) ProjectionCase {
	return caseOf(nil, f)
}

// CaseBy is [Case] for rows with another key than the aggregate's id. An event
// whose key is empty changes no row.
func CaseBy[R any, E events.Data](key func(Event[E]) string, f func(row *R, e Event[E]) error) ProjectionCase {
	return caseOf(key, f)
}

func caseOf[R any, E events.Data](key func(Event[E]) string, f func(row *R, e Event[E]) error) ProjectionCase {
	var zero E
	c := ProjectionCase{typ: zero.EventType(), data: reflect.TypeFor[E](), row: reflect.TypeFor[R](), codec: codecOf[R]()}
	c.key = func(_ *events.Type, e *events.Envelope) (string, error) { return e.AggregateID, nil }
	if key != nil {
		c.key = func(t *events.Type, e *events.Envelope) (string, error) {
			event := Event[E]{Header: e.Header}
			if err := decodeTo(t, e, &event.Data); err != nil {
				return "", err
			}
			return key(event), nil
		}
	}
	if f != nil {
		c.apply = func(row any, t *events.Type, e *events.Envelope) error {
			event := Event[E]{Header: e.Header}
			if err := decodeTo(t, e, &event.Data); err != nil {
				return err
			}
			return f(row.(*R), event)
		}
	}
	return c
}

func codecOf[R any]() rowCodec {
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
