package events

import (
	"errors"
	"fmt"
	"time"
)

// Codes of the framework's own errors. A domain has its own for rejections.
const (
	CodeInvalid      = "INVALID"          // a field is missing or wrong
	CodeUnknownType  = "UNKNOWN_TYPE"     // no such command or event
	CodeUndecodable  = "UNDECODABLE"      // bytes that are not a message
	CodeTooLarge     = "TOO_LARGE"        // more bytes than a message may have
	CodeConflict     = "VERSION_CONFLICT" // the aggregate moved on meanwhile
	CodeIDInUse      = "ID_IN_USE"        // the id belongs to another command, or to other data
	CodeUnhandled    = "UNHANDLED"        // no queue is bound for the command
	CodeUnavailable  = "UNAVAILABLE"      // a broker or store cannot be reached
	CodeTimeout      = "TIMEOUT"          // no answer in time; the outcome is unknown
	CodeNotFound     = "NOT_FOUND"        // no such aggregate, row or handler
	CodeCursorMoved  = "CURSOR_MOVED"     // another instance applied these events
	CodePanic        = "PANIC"            // a handler panicked
	CodeShuttingDown = "SHUTTING_DOWN"    // the process is stopping
	CodeConfig       = "CONFIG"           // a setting or declaration is wrong
	CodeInternal     = "INTERNAL"         // anything else
)

// Error is the error type of Pitwheel: a code for machines, and a message for people that
// names the thing and the value at fault. HTTP and the command line print its JSON.
type Error struct {
	Code      string `json:"code"`
	Message   string `json:"message"`         // complete, with the cause's text in it
	Field     string `json:"field,omitempty"` // the field at fault, if any
	Hint      string `json:"hint"`            // what to do next, if known
	Retryable bool   `json:"retryable"`       // trying again may help
	Err       error  `json:"-"`               // the cause
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an [Error]. A cause given with %w is part of the message, and can be
// unwrapped.
func Errorf(code, format string, args ...any) *Error {
	text := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: text.Error(), Err: errors.Unwrap(text)}
}

// WithHint returns a copy of e with a hint what to do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// WithField returns a copy of e that names the field at fault. A driver names the field
// of its Config; the application adds the name of the setting behind it.
func (e *Error) WithField(name string) *Error {
	c := *e
	c.Field = name
	return &c
}

// MayRetry returns a copy of e that is retryable.
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

// Rejection is a command's refusal by its domain: an outcome, and not a failure. Make it
// with [Reject] or [Invalid].
type Rejection struct {
	Code    string
	Message string
	Field   string
}

func (r *Rejection) Error() string { return r.Message }

// Reject returns a refusal of a command. The code is part of the contract with senders.
func Reject(code, format string, args ...any) error {
	return &Rejection{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid returns a refusal of a command because of one field, with the code INVALID.
func Invalid(field, format string, args ...any) error {
	return &Rejection{Code: CodeInvalid, Field: field, Message: field + ": " + fmt.Sprintf(format, args...)}
}

// AsRejection returns the rejection in err's chain, and reports whether there is one.
func AsRejection(err error) (*Rejection, bool) {
	var r *Rejection
	ok := errors.As(err, &r)
	return r, ok
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent returns err marked as one after which trying again cannot help: a handler that
// returns it sends the message to the poison queue. A nil error stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent reports whether trying again cannot help: the error was made by [Permanent],
// is a rejection, or has the code UNDECODABLE, UNKNOWN_TYPE or TOO_LARGE.
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

// RetryAfter returns err with the pause before the next attempt, for instance because a
// partner's response has one. A handler that returns it is retried no sooner than after d,
// at most a year, and up to the attempts of its policy. A nil error stays nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return retryAfter{err, d}
}

// RetryDelay returns the pause that [RetryAfter] asked for, and reports whether it did.
func RetryDelay(err error) (time.Duration, bool) {
	var r retryAfter
	if errors.As(err, &r) {
		return r.delay, true
	}
	return 0, false
}
