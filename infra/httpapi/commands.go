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
	"github.com/pitwheel/pitwheel/router/lazyctx"
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
func (a *api) command(w http.ResponseWriter, r *http.Request) error {
	started := time.Now()
	// Both ids are chosen before anything can fail, so that the caller can send the very
	// same command again whatever the response is.
	options := events.SendOptions{ID: commandID(r), NewID: keyOf(r) == "", CorrelationID: a.correlationID(r), Traceparent: a.traceparent(r)}
	w.Header().Set(headerIdempotencyKey, options.ID)
	w.Header().Set(headerCorrelationID, options.CorrelationID)

	if a.stopping() {
		return errStopping("the command was not taken")
	}
	if _, given := r.Header[headerIdempotencyKey]; given && keyOf(r) == "" {
		return events.Errorf(events.CodeInvalid, "the header %s is empty", headerIdempotencyKey).
			WithHint("leave it out, or give the command an id, so that it can be sent again")
	}
	if err := checkQuery(r, "wait"); err != nil {
		return err
	}
	wait, err := waitOf(r)
	if err != nil {
		return err
	}
	body, err := a.readBody(w, r)
	if err != nil && a.stopping() {
		return errStopping("the body has not come in time")
	}
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return events.Errorf(events.CodeTooLarge, "the body is larger than %d bytes", a.MaxBody)
	}
	if err != nil {
		return events.Errorf(events.CodeUndecodable, "the body ended too early").MayRetry()
	}
	cmd, err := a.parse(r.PathValue("type"), body)
	if err != nil {
		return a.refused(w, r, options, err)
	}
	if wait > 0 {
		return a.execute(w, r, cmd, options, started.Add(wait))
	}
	ctx, cancel := context.WithTimeout(r.Context(), sendTimeout)
	defer cancel()
	receipt, err := a.Commands.Send(ctx, cmd, options)
	if err != nil {
		return a.refused(w, r, options, err)
	}
	a.respond(w, r, http.StatusAccepted, receipt)
	return nil
}

// readBody reads a body up to the end of the request's context: a stop must not wait for a
// client that sends slowly.
func (a *api) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	defer context.AfterFunc(r.Context(), func() {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // A test's recorder has none.
	})()
	return io.ReadAll(http.MaxBytesReader(w, r.Body, a.MaxBody))
}

func (a *api) parse(name string, body []byte) (events.Command, error) {
	if t, ok := a.Catalogue.Lookup(name); ok && t.Command && !json.Valid(body) {
		return nil, events.Errorf(events.CodeUndecodable, "the body is not JSON").
			WithHint("send the data of %s as a JSON object", name)
	}
	return a.Catalogue.ParseCommand(name, body)
}

// execute responds with the command's outcome or, if it is not known by the deadline and
// the broker has the command, with the ids and the status "unknown".
func (a *api) execute(w http.ResponseWriter, r *http.Request, cmd events.Command, o events.SendOptions, deadline time.Time) error {
	ctx := lazyctx.New(r.Context(), deadline)
	defer ctx.End()
	outcome, err := a.Commands.Execute(ctx, cmd, o)
	switch {
	case outcome.Status == events.StatusUnknown:
		a.respond(w, r, http.StatusAccepted, outcome)
	case err != nil:
		return a.refused(w, r, o, err)
	case outcome.Status == events.StatusRejected:
		a.respond(w, r, http.StatusUnprocessableEntity, outcome)
	default:
		a.respond(w, r, http.StatusOK, outcome)
	}
	return nil
}

// refused responds to a command that was rejected before it was sent, as if the domain had
// rejected it later. It returns other errors as they are.
func (a *api) refused(w http.ResponseWriter, r *http.Request, o events.SendOptions, err error) error {
	rejection, ok := events.AsRejection(err)
	if !ok {
		return err
	}
	a.respond(w, r, http.StatusUnprocessableEntity, events.Outcome{
		Status: events.StatusRejected, CommandID: o.ID, CorrelationID: o.CorrelationID,
		Code: rejection.Code, Message: rejection.Message, Field: rejection.Field,
	})
	return nil
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
func (a *api) correlationID(r *http.Request) string {
	if id := r.Header.Get(headerCorrelationID); a.correlationIDs.MatchString(id) {
		return id
	}
	return events.NewID()
}

// traceparent returns the caller's W3C trace context, or "" where it has none of the form
// that every version has: version, trace id, parent id and flags in hexadecimal.
func (a *api) traceparent(r *http.Request) string {
	if trace := r.Header.Get(headerTraceparent); a.traceparents.MatchString(trace) {
		return trace
	}
	return ""
}

func waitOf(r *http.Request) (time.Duration, error) {
	given := r.URL.Query().Get("wait")
	if given == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(given)
	if err != nil || d < 0 {
		return 0, events.Errorf(events.CodeInvalid, "wait: %.40q is not a duration", given).WithField("wait").WithHint("such as wait=5s, at most %s", maxWait)
	}
	return min(d, maxWait), nil
}
