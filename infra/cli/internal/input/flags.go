package input

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/infra/settings"
)

// errEmpty is the error of a flag without a value. Mostly a shell has put in a variable
// that is not set; treated like a missing flag, it would select everything.
var errEmpty = errors.New("it must not be empty; fill in what is missing, or leave the flag out")

// Text is the value of a flag that must not be empty.
type Text string

// Set sets the text.
func (t *Text) Set(text string) error {
	if strings.TrimSpace(text) == "" {
		return errEmpty
	}
	*t = Text(text)
	return nil
}

// String returns the text.
func (t *Text) String() string { return string(*t) }

// Type is what help shows.
func (*Text) Type() string { return "string" }

// Duration is the value of a flag that takes a duration of more than nothing, in units
// from milliseconds up to weeks.
type Duration time.Duration

// Set sets the duration.
func (d *Duration) Set(text string) error {
	v, err := settings.ParseDuration(text)
	if err != nil {
		return errors.New("it must be a duration with its unit, such as 30s, 10m or 1d12h")
	}
	if v < time.Millisecond {
		return errors.New("it must be at least 1ms")
	}
	*d = Duration(v)
	return nil
}

// String returns the duration, or "" if there is none.
func (d *Duration) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

// Type is what help shows.
func (*Duration) Type() string { return "duration" }

// List is the value of a flag that takes several texts, separated by commas
// or by repeating it. None of them may be empty.
type List []string

// Set adds texts.
func (l *List) Set(text string) error {
	some, err := csv.NewReader(strings.NewReader(text)).Read()
	switch {
	case err == io.EOF:
		return errEmpty
	case err != nil:
		return err
	case slices.ContainsFunc(some, func(one string) bool { return strings.TrimSpace(one) == "" }):
		return errEmpty
	}
	*l = append(*l, some...)
	return nil
}

// String returns the texts, separated by commas.
func (l *List) String() string { return strings.Join(*l, ",") }

// Type is what help shows.
func (*List) Type() string { return "strings" }

// Append adds texts. Append, Replace and GetSlice make it a pflag.SliceValue.
func (l *List) Append(one string) error { return l.Set(one) }

// Replace replaces all texts.
func (l *List) Replace(all []string) error { *l = all; return nil }

// GetSlice returns all texts.
func (l *List) GetSlice() []string { return *l }
