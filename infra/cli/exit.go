package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/cli/internal/input"
	"github.com/pitwheel/pitwheel/infra/cli/internal/output"
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

// Error codes of the command line itself, in addition to [input.CodeUsage].
const (
	codeInterrupted = "INTERRUPTED" // a signal ended the command
	codePartly      = "PARTLY_DONE" // some of it could not be done
)

// exitCode returns the exit code of the process for err.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if r, ok := events.AsRejection(err); ok && r.Code != events.CodeConflict {
		return exitRejected
	}
	switch asError(err).Code {
	case input.CodeUsage, events.CodeConfig:
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
		c := *e
		c.Message = err.Error() // With the context that was wrapped around it.
		return &c
	case errors.Is(err, context.Canceled):
		return &events.Error{Code: codeInterrupted, Message: "interrupted"}
	case errors.Is(err, context.DeadlineExceeded):
		return &events.Error{Code: events.CodeTimeout, Message: "timed out: " + err.Error(), Retryable: true}
	}
	return &events.Error{Code: events.CodeInternal, Message: err.Error()}
}

// printError writes an error of a program to w: for people as a line and a hint, with a
// machine format as {"error":{…}}.
func printError(w io.Writer, program, format string, err error) {
	e := asError(err)
	if format == output.JSON || format == output.JSONL {
		_ = output.One(output.Printer{Out: w, Format: format}, map[string]*events.Error{"error": e}) // There is nowhere to report its error.
		return
	}
	_, _ = fmt.Fprintf(w, "%s: %s\n", program, strings.ReplaceAll(e.Message, "\n", "\n  "))
	if e.Hint != "" {
		_, _ = fmt.Fprintf(w, "  hint: %s\n", e.Hint)
	}
}

// valueShorthands are the shorthands of flags that take a value.
const valueShorthands = "dfno"

// errorFormat finds the value of -o in a command line that may not be parsable. The last
// one counts, as it does when the line is parsed.
func errorFormat(args []string) string {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.SetOutput(io.Discard)
	format := flags.StringP("output", "o", output.Table, "")
	for _, shorthand := range strings.Split(strings.TrimSuffix(valueShorthands, "o"), "") {
		flags.StringP(shorthand, shorthand, "", "")
	}
	flags.BoolP("help", "h", false, "")
	_ = flags.Parse(args) // An error ends it, as it ends the command.
	return *format
}
