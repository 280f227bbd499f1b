package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/pitwheel/pitwheel/events"
)

// ParseLevel reads a level's name: debug, info, warn or error, in any case, with
// an optional offset such as debug-4. Empty is info. An error has the code CONFIG.
func ParseLevel(name string) (slog.Level, error) {
	var level slog.Level
	if name == "" {
		return slog.LevelInfo, nil
	}
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo, events.Errorf(events.CodeConfig, "%q is not a log level", name).WithHint("use debug, info, warn or error")
	}
	return level, nil
}

// NewLogger returns a logger that writes to w. The format is "text" or "json";
// empty is text on a terminal and JSON otherwise. Text on a terminal is coloured,
// unless NO_COLOR is set. Durations have their unit in both, such as 88ms. An unknown level or format is logged, and the
// default used.
func NewLogger(w io.Writer, tty bool, level, format string) *slog.Logger {
	at, wrong := ParseLevel(level)
	var h slog.Handler
	switch {
	case strings.EqualFold(format, "json"), !tty && !strings.EqualFold(format, "text"):
		h = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: at, ReplaceAttr: durationText})
	case !tty:
		h = slog.NewTextHandler(w, &slog.HandlerOptions{Level: at})
	default:
		h = tint.NewTextHandler(w, &tint.Options{Level: at, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != "", ReplaceAttr: red})
	}
	logger := slog.New(h)
	if wrong != nil {
		logger.Warn("logging at info instead", "error", wrong)
	}
	switch strings.ToLower(format) {
	case "", "text", "json":
	default:
		logger.Warn("logging in the default format instead", "error", fmt.Sprintf("%q is not a log format; use text or json", format))
	}
	return logger
}

// IsTerminal reports whether a stream, such as [os.Stdin], is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// red shows errors in red.
func red(_ []string, a slog.Attr) slog.Attr {
	if err, ok := a.Value.Any().(error); ok {
		return tint.Attr(9, slog.String(a.Key, err.Error()))
	}
	return a
}

// durationText writes a duration with its unit, as text logs do. The default in JSON is a
// number of nanoseconds.
func durationText(_ []string, a slog.Attr) slog.Attr {
	if d, ok := a.Value.Any().(time.Duration); ok {
		return slog.String(a.Key, d.String())
	}
	return a
}
