package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
)

// LevelTrace is the level of Watermill's lines about single messages.
const LevelTrace = slog.LevelDebug - 4

// How often one error is logged, and how many different ones are distinguished at a
// time. Together they bound the error lines: kinds + 1 in a period.
const (
	errorPeriod = 10 * time.Second
	errorKinds  = 64
)

// WatermillLogger returns a logger for Watermill that writes to l. Info lines, which
// report every handler's start and stop, are written at Debug. An Error line that is
// the same as an earlier one is written at most once in 10 s, with the number of lines
// left out since, so that a handler that fails for a million messages does not fill the
// disk.
func WatermillLogger(l *slog.Logger) watermill.LoggerAdapter {
	return &adapter{logger: l, repeats: &repeats{seen: map[string]*repeat{}, now: time.Now}}
}

type adapter struct {
	logger  *slog.Logger
	repeats *repeats // shared with the loggers made by With
}

func (a *adapter) Error(msg string, err error, fields watermill.LogFields) {
	if !a.logger.Enabled(context.Background(), slog.LevelError) {
		return
	}
	left, ok := a.repeats.next(msg, fields["handler_name"], err)
	if !ok {
		return
	}
	attrs := append(attributes(fields), slog.Any("error", err))
	if left > 0 {
		attrs = append(attrs, slog.Int("left_out", left))
	}
	a.logger.LogAttrs(context.Background(), slog.LevelError, msg, attrs...)
}

func (a *adapter) Info(msg string, fields watermill.LogFields) { a.log(slog.LevelDebug, msg, fields) }

func (a *adapter) Debug(msg string, fields watermill.LogFields) { a.log(slog.LevelDebug, msg, fields) }

func (a *adapter) Trace(msg string, fields watermill.LogFields) { a.log(LevelTrace, msg, fields) }

func (a *adapter) With(fields watermill.LogFields) watermill.LoggerAdapter {
	args := make([]any, 0, len(fields))
	for _, attr := range attributes(fields) {
		args = append(args, attr)
	}
	return &adapter{logger: a.logger.With(args...), repeats: a.repeats}
}

func (a *adapter) log(level slog.Level, msg string, fields watermill.LogFields) {
	if a.logger.Enabled(context.Background(), level) {
		a.logger.LogAttrs(context.Background(), level, msg, attributes(fields)...)
	}
}

// attributes are the fields in the order of their names.
func attributes(fields watermill.LogFields) []slog.Attr {
	out := make([]slog.Attr, 0, len(fields)+2)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, slog.Any(name, fields[name]))
	}
	return out
}

// repeats records which errors were written lately.
type repeats struct {
	mu   sync.Mutex
	seen map[string]*repeat
	now  func() time.Time
}

type repeat struct {
	written time.Time
	left    int // lines left out since
}

// next reports whether a line may be written, and how many were left out before it.
func (r *repeats) next(msg string, handler any, err error) (int, bool) {
	key := fmt.Sprintf("%s|%v|%.200s", msg, handler, fmt.Sprint(err))
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.seen[key]
	if !ok && len(r.seen) >= errorKinds {
		maps.DeleteFunc(r.seen, func(_ string, old *repeat) bool { return now.Sub(old.written) >= errorPeriod })
		if len(r.seen) >= errorKinds {
			key = "" // All that are too many share one line.
			last, ok = r.seen[key]
		}
	}
	if ok && now.Sub(last.written) < errorPeriod {
		last.left++
		return 0, false
	}
	left := 0
	if ok {
		left = last.left
	}
	r.seen[key] = &repeat{written: now}
	return left, true
}
