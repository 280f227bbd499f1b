package cli

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
)

// errEmpty is the error of a flag without a value. Mostly a shell has put in a variable
// that is not set; treated like a missing flag, it would select everything.
var errEmpty = errors.New("it must not be empty; fill in what is missing, or leave the flag out")

// filledText is the value of a flag that must not be empty.
type filledText string

func (t *filledText) Set(text string) error {
	if strings.TrimSpace(text) == "" {
		return errEmpty
	}
	*t = filledText(text)
	return nil
}

func (t *filledText) String() string { return string(*t) }

func (*filledText) Type() string { return "string" }

// filledList is the value of a flag that takes several texts, separated by commas
// or by repeating it. None of them may be empty.
type filledList []string

func (l *filledList) Set(text string) error {
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

func (l *filledList) String() string { return strings.Join(*l, ",") }

func (*filledList) Type() string { return "strings" }

// Append, Replace and GetSlice make it a pflag.SliceValue.
func (l *filledList) Append(one string) error { return l.Set(one) }

func (l *filledList) Replace(all []string) error { *l = all; return nil }

func (l *filledList) GetSlice() []string { return *l }
