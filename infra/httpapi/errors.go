package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// statusOf returns the HTTP status of an error's code.
func statusOf(code string) int {
	switch code {
	case events.CodeInvalid, events.CodeUndecodable:
		return http.StatusBadRequest
	case events.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case events.CodeUnknownType, events.CodeNotFound:
		return http.StatusNotFound
	case events.CodeConflict, events.CodeCursorMoved, events.CodeIDInUse:
		return http.StatusConflict
	case events.CodeUnhandled, events.CodeUnavailable, events.CodeShuttingDown:
		return http.StatusServiceUnavailable
	case events.CodeTimeout:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}

// endpoint returns a handler that responds with the error of f, if there is one.
func (a *api) endpoint(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			a.failed(w, r, err)
		}
	})
}

// failed responds with an error.
func (a *api) failed(w http.ResponseWriter, r *http.Request, err error) {
	var e *events.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e = events.Errorf(events.CodeTimeout, "there was no answer in time").MayRetry()
	default:
		e = &events.Error{Code: events.CodeInternal}
	}
	if a.stopping() && (e.Code == events.CodeTimeout || e.Code == events.CodeUnavailable) || e.Code == events.CodeShuttingDown {
		e = errStopping(e.Message)
		w.Header().Set("Connection", "close")
	}
	status := statusOf(e.Code)
	if status == http.StatusInternalServerError {
		// Internal errors go to the log; the caller gets no details.
		a.Logger.LogAttrs(r.Context(), slog.LevelError, "a request failed", slog.String("route", r.Pattern),
			slog.String("correlation_id", w.Header().Get(headerCorrelationID)), slog.Any("error", err))
		e = events.Errorf(e.Code, "something went wrong inside").WithHint("the log of the service says what")
	}
	if e.Code == events.CodeUnavailable || e.Code == events.CodeShuttingDown {
		w.Header().Set("Retry-After", "1") // seconds
	}
	a.fail(w, r, status, e)
}

// fail responds with a status and an error: {"error":{…}}.
func (a *api) fail(w http.ResponseWriter, r *http.Request, status int, e *events.Error) {
	a.respond(w, r, status, map[string]*events.Error{"error": e})
}

func (a *api) respond(w http.ResponseWriter, r *http.Request, status int, body any) {
	text, err := json.MarshalReadable(body)
	if err != nil {
		a.Logger.LogAttrs(r.Context(), slog.LevelError, "a response cannot be written as JSON", slog.String("route", r.Pattern), slog.Any("error", err))
		status, text = http.StatusInternalServerError, []byte(`{"error":{"code":"INTERNAL","message":"something went wrong inside","hint":"","retryable":false}}`)
	}
	a.respondRaw(w, r, status, append(text, '\n'))
}

func (a *api) respondRaw(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	if err := write(w, status, "application/json", body); err != nil {
		a.Logger.LogAttrs(r.Context(), slog.LevelDebug, "the client has disconnected", slog.String("route", r.Pattern), slog.Any("error", err))
	}
}

// write responds with a body that must not be stored, nor its type guessed.
func write(w http.ResponseWriter, status int, contentType string, body []byte) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}
