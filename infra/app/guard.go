package app

import (
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// guard calls a function of the application. A panic becomes an error with the code CONFIG
// that names the function and the place of the panic. An [events.Error] that it panics
// with, as [settings.Values.String] does, is returned as it is.
func guard(what string, f func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *events.Error:
			err = p
		default:
			err = events.Errorf(events.CodeConfig, "%s panicked%s: %v", what, panicFrame(), p)
		}
	}()
	return f()
}

// panicFrame returns where the panic happened that is being recovered from, such as " in
// meters.Register (meters.go:12)"; "" if that is unknown. It must be called by the deferred
// function.
func panicFrame() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	panicked := false
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicked = true
		case panicked && f.Function != "" && !strings.HasPrefix(f.Function, "runtime."):
			return fmt.Sprintf(" in %s (%s:%d)", f.Function[strings.LastIndexByte(f.Function, '/')+1:], filepath.Base(f.File), f.Line)
		}
		if !more {
			return ""
		}
	}
}

// isNil reports whether v is nil, or a nil pointer or function.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return (r.Kind() == reflect.Pointer || r.Kind() == reflect.Func) && r.IsNil()
}
