package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// logged writes one line per request at Debug. It names the route and not the path,
// which can hold a key.
func (a *api) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w}
		next.ServeHTTP(rec, r)
		if !a.Logger.Enabled(r.Context(), slog.LevelDebug) {
			return
		}
		a.Logger.LogAttrs(r.Context(), slog.LevelDebug, "http", slog.String("method", r.Method), slog.String("route", r.Pattern),
			slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes), slog.Duration("took", time.Since(start)),
			slog.String("correlation_id", w.Header().Get(headerCorrelationID)))
	})
}

// recovered turns a panic into a 500 and a log line, so that it costs one request.
func (a *api) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p) // The handler cuts the connection.
			}
			a.Logger.LogAttrs(r.Context(), slog.LevelError, "a request panicked", slog.String("route", r.Pattern),
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			if rec, ok := w.(*recorder); ok && rec.status != 0 {
				panic(http.ErrAbortHandler) // Part of the response is sent; it must not look complete.
			}
			a.fail(w, r, http.StatusInternalServerError, events.Errorf(events.CodePanic, "something went wrong inside").WithHint("the log of the service says what"))
		}()
		next.ServeHTTP(w, r)
	})
}

// recorder records status and size of a response.
type recorder struct {
	http.ResponseWriter
	status int // 0: nothing is written yet
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 { // 1xx are only announcements.
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach what is underneath.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Flush is for handlers that stream.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }
