package output

import (
	"fmt"
	"io"

	"github.com/pitwheel/pitwheel/events/json"
)

// Stream prints items as they arrive: a list whose end is not known.
type Stream[T any] struct {
	Printer
	// Line returns an item as a line for people.
	Line func(T) string
	// Key returns what identifies an item, which is all that is printed quietly.
	Key   func(T) string
	count int
}

// Put prints one more item.
func (s *Stream[T]) Put(v T) error {
	s.count++
	switch s.Format {
	case JSONL:
		return s.encode(v)
	case YAML:
		return s.encode([]T{v})
	case JSON:
		text, err := json.MarshalReadable(v)
		if err != nil {
			return err
		}
		open := ",\n"
		if s.count == 1 {
			open = "["
		}
		_, err = fmt.Fprintf(s.Out, "%s%s", open, text)
		return err
	}
	if s.Quiet {
		return s.Text(s.Key(v))
	}
	_, err := fmt.Fprintln(s.Out, s.Line(v))
	return err
}

// Close ends the list, so that JSON is whole even after an interruption.
func (s *Stream[T]) Close() error {
	var end string
	switch {
	case s.count == 0 && (s.Format == JSON || s.Format == YAML):
		end = "[]\n"
	case s.Format == JSON:
		end = "]\n"
	}
	_, err := io.WriteString(s.Out, end)
	return err
}
