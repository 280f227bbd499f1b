// Package panics turns the panics of application code into errors. A panic of one
// handler must not end the process, and with it all other handlers.
package panics

import (
	"runtime/debug"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/text"
)

// MaxStack bounds a stack, in bytes.
const MaxStack = 4 << 10

// maxFrame bounds a frame, in bytes.
const maxFrame = 512

// Error is a recovered panic: an error with the code PANIC, and its stack.
type Error struct {
	err error
	// Stack is the stack of the panic, cut to [MaxStack] bytes.
	Stack string
}

// Error returns the text of the error.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the error with the code PANIC.
func (e *Error) Unwrap() error { return e.err }

// Recovered returns the error for a value that recover has returned. It must be called
// by the deferred function that recovers, which alone sees the stack. The subject
// begins the error's text: "handler send-welcome".
func Recovered(value any, subject string) *Error {
	return &Error{events.Errorf(events.CodePanic, "%s panicked: %v", subject, value), text.Cut(string(debug.Stack()), MaxStack)}
}

// Guard calls f, and returns a panic as an error with the code PANIC that names the
// frame of the panic.
func Guard(subject string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			frame := Frame(text.Cut(string(debug.Stack()), 4*MaxStack))
			err = events.Errorf(events.CodePanic, "%s panicked at %s: %v", subject, frame, r)
		}
	}()
	return f()
}

// Frame returns the frame of a stack in which the panic happened: the first function
// below the panic that does not belong to the runtime, and its line. It is empty if
// the stack does not show a panic.
func Frame(stack string) string {
	lines := strings.Split(stack, "\n")
	last := -1
	for i, line := range lines {
		if strings.HasPrefix(line, "panic(") {
			last = i // After a panic while panicking, the first one comes last.
		}
	}
	if last < 0 {
		return ""
	}
	for i := last + 2; i+1 < len(lines); i += 2 {
		name := lines[i]
		if strings.HasPrefix(name, "runtime.") {
			continue
		}
		if open := strings.LastIndexByte(name, '('); open > 0 {
			name = name[:open]
		}
		file, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
		return text.Cut(name[strings.LastIndexByte(name, '/')+1:]+" "+file[strings.LastIndexByte(file, '/')+1:], maxFrame)
	}
	return ""
}
