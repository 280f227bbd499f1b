package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	headerCorrelationID  = "X-Correlation-Id"
	headerTraceparent    = "Traceparent"

	// maxWait bounds ?wait; what is longer waits this long.
	maxWait = time.Minute
	// sendTimeout bounds how long a command may take to reach the broker.
	sendTimeout = 15 * time.Second
)

// command is POST /v1/commands/{type}.
func (a *api) command(w http.ResponseWriter, r *http.Request) {
	// Both ids are chosen before anything can fail, so that the caller can send the very
	// same command again whatever the response is.
	options := events.SendOptions{ID: commandID(r), CorrelationID: correlationID(r), Traceparent: traceparent(r)}
	w.Header().Set(headerIdempotencyKey, options.ID)
	w.Header().Set(headerCorrelationID, options.CorrelationID)

	if _, given := r.Header[headerIdempotencyKey]; given && keyOf(r) == "" {
		a.failed(w, r, events.Errorf(events.CodeInvalid, "the header %s is empty", headerIdempotencyKey).
			WithHint("leave it out, or give the command an id, so that it can be sent again"))
		return
	}
	wait, err := waitOf(r)
	if err != nil {
		a.failed(w, r, err)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, a.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		a.fail(w, r, http.StatusRequestEntityTooLarge, events.Errorf(events.CodeTooLarge, "the body is larger than %d bytes", a.MaxBody))
		return
	case err != nil:
		a.fail(w, r, http.StatusBadRequest, events.Errorf(events.CodeUndecodable, "the body ended too early").MayRetry())
		return
	}
	cmd, err := a.parse(r.PathValue("type"), body)
	if err != nil {
		a.refused(w, r, options, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), sendTimeout)
	defer cancel()
	receipt, err := a.Commands.Send(ctx, cmd, options)
	if err != nil {
		a.refused(w, r, options, err)
		return
	}
	w.Header().Set(headerIdempotencyKey, receipt.CommandID)
	w.Header().Set(headerCorrelationID, receipt.CorrelationID)
	if wait == 0 {
		a.respond(w, r, http.StatusAccepted, receipt)
		return
	}
	a.await(w, r, receipt, wait)
}

func (a *api) parse(name string, body []byte) (events.Command, error) {
	if t, ok := a.Catalogue.Lookup(name); ok && t.Command && !json.Valid(body) {
		return nil, events.Errorf(events.CodeUndecodable, "the body is not JSON").
			WithHint("send the data of %s as a JSON object", name)
	}
	return a.Catalogue.ParseCommand(name, body)
}

// await responds with the command's outcome or, if it takes longer than wait, with
// the ids and the status "unknown".
func (a *api) await(w http.ResponseWriter, r *http.Request, receipt events.Receipt, wait time.Duration) {
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	outcome, err := a.Commands.Await(ctx, receipt)
	switch {
	case err == nil && outcome.Status == events.StatusRejected:
		a.respond(w, r, http.StatusUnprocessableEntity, outcome)
	case err == nil:
		a.respond(w, r, http.StatusOK, outcome)
	case ctx.Err() != nil || events.CodeOf(err) == events.CodeTimeout:
		a.respond(w, r, http.StatusAccepted, struct {
			Status string `json:"status"`
			events.Receipt
		}{"unknown", receipt})
	default:
		a.failed(w, r, err)
	}
}

// refused responds to a command that was not sent. A rejection before it is sent looks
// like one that the domain returns later.
func (a *api) refused(w http.ResponseWriter, r *http.Request, o events.SendOptions, err error) {
	rejection, ok := events.AsRejection(err)
	if !ok {
		a.failed(w, r, err)
		return
	}
	a.respond(w, r, http.StatusUnprocessableEntity, events.Outcome{
		Status: events.StatusRejected, CommandID: o.ID, CorrelationID: o.CorrelationID,
		Code: rejection.Code, Message: rejection.Message, Field: rejection.Field,
	})
}

// commandID returns the caller's key as a UUID, or a new one. The quotes that a
// structured header has (RFC 9651) are not part of the key.
func commandID(r *http.Request) string {
	if key := keyOf(r); key != "" {
		return events.NormalizeID(key)
	}
	return events.NewID()
}

// keyOf returns the idempotency key as the caller wrote it, without quotes.
func keyOf(r *http.Request) string {
	key := strings.TrimSpace(r.Header.Get(headerIdempotencyKey))
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	return key
}

// correlationID returns the caller's, or a new one if it has none that is fit for
// headers and log lines.
func correlationID(r *http.Request) string {
	id := r.Header.Get(headerCorrelationID)
	if id == "" || len(id) > 128 {
		return events.NewID()
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.:/+=@", c) >= 0:
		default:
			return events.NewID()
		}
	}
	return id
}

// traceparent returns the caller's W3C trace context, or "" where it has none of the form
// that every version has: version, trace id, parent id and flags in hexadecimal.
func traceparent(r *http.Request) string {
	context := r.Header.Get(headerTraceparent)
	if len(context) < 55 || len(context) > 128 {
		return ""
	}
	for i, c := range []byte(context) {
		if dash := i == 2 || i == 35 || i == 52; dash != (c == '-') && i < 55 {
			return ""
		}
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	return context
}

func waitOf(r *http.Request) (time.Duration, error) {
	given := r.URL.Query().Get("wait")
	if given == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(given)
	if err != nil || d < 0 {
		e := events.Errorf(events.CodeInvalid, "wait: %.40q is not a duration", given).WithHint("such as wait=5s, at most %s", maxWait)
		e.Field = "wait"
		return 0, e
	}
	return min(d, maxWait), nil
}
