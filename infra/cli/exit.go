package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// The exit codes, which are part of the contract. 4 (not allowed) belongs to commands that
// do not exist yet.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPartly      = 3
	exitNotFound    = 5
	exitRejected    = 6
	exitConflict    = 7
	exitUnreachable = 8
	exitTimeout     = 124
	exitInterrupted = 130
)

// Error codes of the command line itself.
const (
	codeUsage       = "USAGE"       // the command line is wrong
	codeInterrupted = "INTERRUPTED" // a signal ended the command
	codePartly      = "PARTLY_DONE" // some of it could not be done
)

// usagef returns an error in how the command was typed.
func usagef(format string, args ...any) *events.Error {
	return events.Errorf(codeUsage, format, args...)
}

// exitCode returns the exit code of the process for err.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if r, ok := events.AsRejection(err); ok && r.Code != events.CodeConflict {
		return exitRejected
	}
	switch asError(err).Code {
	case codeUsage, events.CodeConfig:
		return exitUsage
	case codePartly:
		return exitPartly
	case events.CodeNotFound:
		return exitNotFound
	case events.CodeInvalid, events.CodeTooLarge:
		return exitRejected
	case events.CodeConflict, events.CodeIDInUse:
		return exitConflict
	case events.CodeUnavailable, events.CodeUnhandled, events.CodeUnknownType, events.CodeShuttingDown:
		return exitUnreachable
	case events.CodeTimeout:
		return exitTimeout
	case codeInterrupted:
		return exitInterrupted
	}
	return exitFailed
}

// asError converts any error for printing.
func asError(err error) *events.Error {
	var e *events.Error
	switch r, rejected := events.AsRejection(err); {
	case rejected:
		return &events.Error{Code: r.Code, Message: r.Message, Field: r.Field}
	case errors.As(err, &e):
		told := *e
		told.Message = err.Error() // With the context that was wrapped around it.
		return &told
	case errors.Is(err, context.Canceled):
		return &events.Error{Code: codeInterrupted, Message: "interrupted"}
	case errors.Is(err, context.DeadlineExceeded):
		return &events.Error{Code: events.CodeTimeout, Message: "timed out: " + err.Error(), Retryable: true}
	}
	return &events.Error{Code: events.CodeInternal, Message: err.Error()}
}

// hinted returns err with a hint, if it has none.
func hinted(err error, hint string) error {
	if e := asError(err); e.Hint == "" {
		return e.WithHint("%s", hint)
	}
	return err
}

// tell writes an error of a program to w: for people as a line and a hint, with a
// machine format as {"error":{…}}.
func tell(w io.Writer, program, format string, err error) {
	e := asError(err)
	if format == formatJSON || format == formatJSONL {
		type body struct {
			Code      string `json:"code"`
			Message   string `json:"message"`
			Field     string `json:"field,omitempty"`
			Hint      string `json:"hint"`
			Retryable bool   `json:"retryable"`
		}
		// Strings and a bool always marshal.
		text, _ := json.Marshal(map[string]body{"error": {e.Code, e.Message, e.Field, e.Hint, e.Retryable}})
		_, _ = fmt.Fprintf(w, "%s\n", text)
		return
	}
	_, _ = fmt.Fprintf(w, "%s: %s\n", program, strings.ReplaceAll(e.Message, "\n", "\n  "))
	if e.Hint != "" {
		_, _ = fmt.Fprintf(w, "  hint: %s\n", e.Hint)
	}
}
