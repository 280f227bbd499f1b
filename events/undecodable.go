package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// misread is JSON that cannot be read. Its text is for people who look at the message: it
// says what is wrong in terms of the JSON, not of the Go type that it was read into.
type misread struct {
	text string
	err  error
}

func (m *misread) Error() string { return m.text }
func (m *misread) Unwrap() error { return m.err }

// explainMisread returns an error that says why raw cannot be read as a value of a Go
// type, of which err is the library's own error.
func explainMisread(raw []byte, as reflect.Type, err error) error {
	if len(raw) == 0 {
		return &misread{"it is empty", err}
	}
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	var text string
	// The standard library reads everything twice, and has the better errors for it.
	switch again := json.Unmarshal(raw, reflect.New(as).Interface()); {
	case again == nil:
		return err
	case errors.As(again, &syntax) && syntax.Offset >= int64(len(raw)) && strings.HasPrefix(syntax.Error(), "unexpected end"):
		text = fmt.Sprintf("it is not JSON: it ends too early, after %d bytes", len(raw))
	case errors.As(again, &syntax):
		text = fmt.Sprintf("it is not JSON: %s, at byte %d", syntax, syntax.Offset)
	case errors.As(again, &wrong) && wrong.Field == "":
		text = fmt.Sprintf("it is %s, not %s", article(wrong.Value), article(kind(wrong.Type)))
	case errors.As(again, &wrong):
		text = wrong.Field + " " + mustBe(wrong)
	default:
		text = strings.TrimPrefix(again.Error(), "json: ")
	}
	return &misread{text, err}
}

// mustBe returns what a value must be instead of what it is, as the end of a sentence that
// begins with the field's name.
func mustBe(wrong *json.UnmarshalTypeError) string {
	if number, ok := strings.CutPrefix(wrong.Value, "number "); ok {
		return fmt.Sprintf("must be a number of the type %s, not %s", wrong.Type, number)
	}
	return fmt.Sprintf("must be %s, not %s", article(kind(wrong.Type)), article(wrong.Value))
}
