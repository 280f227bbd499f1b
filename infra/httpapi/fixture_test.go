package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/httpapi"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// bus is a command bus of which every answer can be set.
type bus struct {
	sent    []events.SendOptions
	command events.Command
	sendErr error
	send    func(context.Context) error
	outcome events.Outcome
	await   func(context.Context) error
	waited  time.Duration
}

func (b *bus) Send(ctx context.Context, c events.Command, o events.SendOptions) (events.Receipt, error) {
	if b.send != nil {
		if err := b.send(ctx); err != nil {
			return events.Receipt{}, err
		}
	}
	if b.sendErr != nil {
		return events.Receipt{}, b.sendErr
	}
	b.sent, b.command = append(b.sent, o), c
	return events.Receipt{CommandID: o.ID, CorrelationID: o.CorrelationID, Aggregate: "user", AggregateID: userID}, nil
}

func (b *bus) Execute(ctx context.Context, c events.Command, o events.SendOptions) (events.Outcome, error) {
	if deadline, ok := ctx.Deadline(); ok {
		b.waited = time.Until(deadline)
	}
	r, err := b.Send(ctx, c, o)
	if err != nil {
		return events.Outcome{}, err
	}
	out := b.outcome
	out.CommandID, out.CorrelationID = r.CommandID, r.CorrelationID
	if b.await != nil {
		if err := b.await(ctx); err != nil {
			if ctx.Err() != nil { // The bus has it.
				out.Status = events.StatusUnknown
			}
			return out, err
		}
	}
	return out, nil
}

// views hold rows k000, k001, …
type views struct {
	rows int
	err  error
}

func (v views) Rows(_ context.Context, _ string, keys []string) ([][]byte, error) {
	var out [][]byte
	for _, k := range keys {
		var row []byte
		var i int
		if n, _ := fmt.Sscanf(k, "k%d", &i); n == 1 && i < v.rows {
			row = fmt.Appendf(nil, `{"id":%q}`, k)
		}
		out = append(out, row)
	}
	return out, v.err
}

func (v views) List(_ context.Context, _, after string, limit int) ([]events.Row, error) {
	var out []events.Row
	for i := range v.rows {
		if k := fmt.Sprintf("k%03d", i); k > after && len(out) < limit {
			out = append(out, events.Row{Key: k, Data: fmt.Appendf(nil, `{"id":%q}`, k)})
		}
	}
	return out, v.err
}

func handler(t *testing.T, change func(*httpapi.Config)) http.Handler {
	t.Helper()
	catalogue := events.NewCatalogue()
	if err := catalogue.Aggregate("user", events.StateOf[sample.User](), events.CommandOf[sample.Create](), events.CommandOf[sample.ChangeEmail](), events.EventOf[sample.Created]()); err != nil {
		t.Fatal(err)
	}
	c := httpapi.Config{Catalogue: catalogue, Commands: &bus{}, Projections: views{}, Names: []string{"user-directory", "a"}}
	if change != nil {
		change(&c)
	}
	h, err := httpapi.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func call(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
		t.Fatalf("the answer %d %q is not a JSON object: %v", w.Code, w.Body, err)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type is %q", ct)
	}
	return m
}
