package events

import (
	"errors"
	"fmt"
	"time"
)

// Codes that the framework itself gives. A domain adds its own for rejections.
const (
	CodeInvalid      = "INVALID"          // a field is missing or wrong
	CodeUnknownType  = "UNKNOWN_TYPE"     // no such command or event
	CodeUndecodable  = "UNDECODABLE"      // bytes that are no message of ours
	CodeTooLarge     = "TOO_LARGE"        // more bytes than a message may have
	CodeConflict     = "VERSION_CONFLICT" // the aggregate moved on meanwhile
	CodeIDInUse      = "ID_IN_USE"        // the id is that of another command
	CodeUnhandled    = "UNHANDLED"        // nobody handles this command
	CodeUnavailable  = "UNAVAILABLE"      // a broker or store cannot be reached
	CodeTimeout      = "TIMEOUT"          // no answer in time; the outcome is unknown
	CodeNotFound     = "NOT_FOUND"        // no such aggregate, row or handler
	CodeCursorMoved  = "CURSOR_MOVED"     // another instance applied these events
	CodePanic        = "PANIC"            // a handler panicked
	CodeShuttingDown = "SHUTTING_DOWN"    // the process is stopping; try another
	CodeConfig       = "CONFIG"           // a setting or declaration is wrong
	CodeInternal     = "INTERNAL"         // anything else
)

// Error is the one error type of Pitwheel: a code for machines and a message
// for people, which names the thing, the value and the way out.
type Error struct {
	Code      string
	Message   string // whole, with the cause's text in it
	Field     string // the field at fault, if it is one
	Hint      string // what to do next, if that is known
	Retryable bool   // trying the same again may work
	Err       error  // the cause
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an [Error]. A cause given with %w is part of the message and can
// be unwrapped.
func Errorf(code, format string, args ...any) *Error {
	text := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: text.Error(), Err: errors.Unwrap(text)}
}

// WithHint returns a copy of e that says what to do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// WithField returns a copy of e that names the field at fault. A driver names the field
// of its Config; whoever knows the setting behind it adds that.
func (e *Error) WithField(name string) *Error {
	c := *e
	c.Field = name
	return &c
}

// MayRetry returns a copy of e that says that trying the same again may work.
func (e *Error) MayRetry() *Error {
	c := *e
	c.Retryable = true
	return &c
}

// CodeOf returns the code of the first [Error] in err's chain, or CodeInternal.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// Rejection is a domain's no: final, expected, an outcome and not a failure.
type Rejection struct {
	Code    string
	Message string
	Field   string
}

func (r *Rejection) Error() string { return r.Message }

// Reject refuses a command. The code is part of the contract with callers.
func Reject(code, format string, args ...any) error {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid refuses a command because of one field, with the code INVALID.
func Invalid(field, format string, args ...any) error {
	return &Rejection{Code: CodeInvalid, Field: field, Message: field + ": " + fmt.Sprintf(format, args...)}
}

// AsRejection returns the rejection in err's chain, if there is one.
func AsRejection(err error) (*Rejection, bool) {
	var r *Rejection
	ok := errors.As(err, &r)
	return r, ok
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent says that trying again cannot help: the message goes to the poison
// queue after this attempt. A nil error stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent tells whether trying again cannot help: the error was made by
// [Permanent], is a rejection, or names bytes or types nobody can read.
func IsPermanent(err error) bool {
	var p permanent
	var r *Rejection
	var e *Error
	switch {
	case errors.As(err, &p), errors.As(err, &r):
		return true
	case errors.As(err, &e):
		return e.Code == CodeUndecodable || e.Code == CodeUnknownType || e.Code == CodeTooLarge
	}
	return false
}

type retryAfter struct {
	error
	delay time.Duration
}

func (r retryAfter) Unwrap() error { return r.error }

// RetryAfter asks for the next attempt no sooner than after d, for instance
// because the other side said so. A nil error stays nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return retryAfter{err, d}
}

// RetryDelay returns the delay that [RetryAfter] asked for.
func RetryDelay(err error) (time.Duration, bool) {
	var r retryAfter
	if errors.As(err, &r) {
		return r.delay, true
	}
	return 0, false
}
