package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/httpapi"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

const (
	ada    = `{"email":"ada@example.com","name":"Ada"}`
	userID = "6b1cf0ab-8a0f-4a53-9d55-3b7e7d9d3c0e"
)

func TestCommands_Statuses(t *testing.T) {
	t.Parallel()
	never := func(ctx context.Context) error {
		<-ctx.Done()
		return events.Errorf(events.CodeTimeout, "no outcome: %w", ctx.Err())
	}
	for _, tc := range []struct {
		name, target, body string
		bus                bus
		status             int
		code               string // of the error or the rejection
		kind               string // of the outcome; "" for an error or ids alone
		field              string
	}{
		{name: "sent", status: 202},
		{name: "wait of zero", target: "?wait=0s", status: 202},
		{name: "accepted", target: "?wait=5s", bus: bus{outcome: events.Outcome{Status: "accepted", Version: 1}}, status: 200, kind: "accepted"},
		{name: "rejected", target: "?wait=5s", bus: bus{outcome: events.Outcome{Status: "rejected", Code: "USER_EXISTS"}}, status: 422, kind: "rejected", code: "USER_EXISTS"},
		{name: "not settled in time", target: "?wait=10ms", bus: bus{await: never}, status: 202, kind: "unknown"},
		{name: "on no way in time", target: "?wait=10ms", bus: bus{sendErr: events.Errorf(events.CodeTimeout, "it is unknown")}, status: 504, code: "TIMEOUT"},
		{name: "decided before", target: "?wait=5s", bus: bus{outcome: events.Outcome{Status: "accepted", Repeated: true}}, status: 200, kind: "accepted"},
		{name: "store lost while waiting", target: "?wait=1s", bus: bus{await: func(context.Context) error { return events.Errorf(events.CodeUnavailable, "redis") }}, status: 503, code: "UNAVAILABLE"},
		{name: "bad wait", target: "?wait=soon", status: 400, code: "INVALID", field: "wait"},
		{name: "negative wait", target: "?wait=-1s", status: 400, code: "INVALID", field: "wait"},
		{name: "missing field", body: `{"email":"ada@example.com"}`, status: 422, kind: "rejected", code: "INVALID", field: "name"},
		{name: "unknown field", body: `{"email":"ada@example.com","name":"Ada","nmae":"x"}`, status: 422, kind: "rejected", code: "INVALID", field: "nmae"},
		{name: "wrong type", body: `{"email":"ada@example.com","name":7}`, target: "?wait=1s", status: 422, kind: "rejected", code: "INVALID", field: "name"},
		{name: "bad value", body: `{"email":"nonsense","name":"Ada"}`, status: 422, kind: "rejected", code: "INVALID", field: "email"},
		{name: "no object", body: `[1]`, status: 422, kind: "rejected", code: "INVALID"},
		{name: "broken JSON", body: `{"email":`, status: 400, code: "UNDECODABLE"},
		{name: "no body", body: " ", status: 400, code: "UNDECODABLE"},
		{name: "too large", body: `{"email":"` + strings.Repeat("x", 1<<20) + `"}`, status: 413, code: "TOO_LARGE"},
		{name: "rejected at sending", bus: bus{sendErr: events.Reject("CLOSED", "no")}, status: 422, kind: "rejected", code: "CLOSED"},
		{name: "unhandled", bus: bus{sendErr: events.Errorf(events.CodeUnhandled, "nobody")}, status: 503, code: "UNHANDLED"},
		{name: "unavailable", bus: bus{sendErr: fmt.Errorf("sending: %w", events.Errorf(events.CodeUnavailable, "rabbit"))}, status: 503, code: "UNAVAILABLE"},
		{name: "stopping", bus: bus{sendErr: events.Errorf(events.CodeShuttingDown, "bye")}, status: 503, code: "SHUTTING_DOWN"},
		{name: "timeout", bus: bus{sendErr: events.Errorf(events.CodeTimeout, "late")}, status: 504, code: "TIMEOUT"},
		{name: "bare deadline", bus: bus{sendErr: context.DeadlineExceeded}, status: 504, code: "TIMEOUT"},
		{name: "conflict", bus: bus{sendErr: events.Errorf(events.CodeConflict, "moved")}, status: 409, code: "VERSION_CONFLICT"},
		{name: "an id in use", bus: bus{sendErr: events.Errorf(events.CodeIDInUse, "other data")}, status: 422, code: "ID_IN_USE"},
		{name: "internal", bus: bus{sendErr: errors.New("secret")}, status: 500, code: "INTERNAL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := handler(t, func(c *httpapi.Config) { c.Commands = &tc.bus })
			body := tc.body
			if body == "" {
				body = ada
			}
			w := call(h, "POST", "/v1/commands/CREATE_USER"+tc.target, body, "Idempotency-Key", "order-7")
			got := decode(t, w)
			id := events.NormalizeID("order-7")
			if w.Code != tc.status {
				t.Fatalf("status %d, want %d: %v", w.Code, tc.status, got)
			}
			if w.Header().Get("Idempotency-Key") != id || w.Header().Get("X-Correlation-Id") == "" {
				t.Errorf("the answer has no ids: %v", w.Header())
			}
			if tc.kind == "" && tc.code != "" {
				got = got["error"].(map[string]any)
				for _, field := range []string{"code", "message", "hint", "retryable"} {
					if _, ok := got[field]; !ok {
						t.Errorf("the error has no %s: %v", field, got)
					}
				}
			} else if got["command_id"] != id || got["correlation_id"] != w.Header().Get("X-Correlation-Id") && tc.status == 202 {
				t.Errorf("ids: %v", got)
			}
			for name, want := range map[string]string{"code": tc.code, "status": tc.kind, "field": tc.field} {
				if s, _ := got[name].(string); s != want {
					t.Errorf("%s is %q, want %q", name, s, want)
				}
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the answer tells what is inside: %s", w.Body)
			}
			if want := tc.code == "UNAVAILABLE" || tc.code == "SHUTTING_DOWN"; (w.Header().Get("Retry-After") != "") != want {
				t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
			}
		})
	}
}

func TestCommands_UnknownType(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"CREATE_USR", "USER_CREATED"} {
		w := call(handler(t, nil), "POST", "/v1/commands/"+name, ada)
		e := decode(t, w)["error"].(map[string]any)
		if w.Code != 404 || e["code"] != "UNKNOWN_TYPE" || !strings.Contains(e["hint"].(string), "CREATE_USER") {
			t.Errorf("%s: %d %v", name, w.Code, e)
		}
	}
}

func TestCommands_IDs(t *testing.T) {
	t.Parallel()
	const uuid = "0192f0aa-0000-7000-8000-000000000001"
	for _, tc := range []struct{ name, key, correlation, wantID, wantCorrelation string }{
		{"uuid", uuid, "req-1", uuid, "req-1"},
		{"uuid in capitals", strings.ToUpper(uuid), "a/b:c", uuid, "a/b:c"},
		{"quoted", `"` + uuid + `"`, "", uuid, ""},
		{"text", "order 7", "", events.NormalizeID("order 7"), ""},
		{"quoted text", `"order 7"`, "", events.NormalizeID("order 7"), ""},
		{"text like a UUID in braces", "x" + uuid + "y", "", events.NormalizeID("x" + uuid + "y"), ""},
		{"none", "", "", "", ""},
		{"correlation with spaces", uuid, "a b", uuid, ""},
		{"correlation without end", uuid, strings.Repeat("x", 129), uuid, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := &bus{}
			h := handler(t, func(c *httpapi.Config) { c.Commands = b })
			headers := []string{"X-Correlation-Id", tc.correlation}
			if tc.key != "" {
				headers = append(headers, "Idempotency-Key", tc.key)
			}
			if w := call(h, "POST", "/v1/commands/CREATE_USER", ada, headers...); w.Code != 202 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			o := b.sent[0]
			if o.NewID != (tc.key == "") {
				t.Errorf("NewID is %v", o.NewID)
			}
			if tc.wantID != "" && o.ID != tc.wantID || !events.IsID(o.ID) {
				t.Errorf("id %q, want %q", o.ID, tc.wantID)
			}
			if tc.wantCorrelation != "" && o.CorrelationID != tc.wantCorrelation || tc.wantCorrelation == "" && !events.IsID(o.CorrelationID) {
				t.Errorf("correlation id %q, want %q", o.CorrelationID, tc.wantCorrelation)
			}
			if diff := cmp.Diff(sample.Create{Email: "ada@example.com", Name: "Ada"}, b.command); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCommands_WaitIsBounded(t *testing.T) {
	t.Parallel()
	b := &bus{outcome: events.Outcome{Status: "accepted"}}
	h := handler(t, func(c *httpapi.Config) { c.Commands = b })
	if w := call(h, "POST", "/v1/commands/CREATE_USER?wait=24h", ada); w.Code != 200 || b.waited > time.Minute || b.waited < 50*time.Second {
		t.Errorf("%d, waited up to %s", w.Code, b.waited)
	}
}

func TestProjections(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, target string
		views        views
		status       int
		want         string // the whole body, or a part of it
	}{
		{"row", "/user-directory/k001", views{rows: 2}, 200, `{"id":"k001"}` + "\n"},
		{"no row", "/user-directory/k009", views{rows: 2}, 404, `"NOT_FOUND"`},
		{"slash in a key", "/user-directory/a%2Fb", views{rows: 2}, 404, `a/b`},
		{"no projection", "/nothing/k001", views{rows: 2}, 404, `a, user-directory`},
		{"store lost", "/user-directory/k001", views{err: events.Errorf(events.CodeUnavailable, "redis")}, 503, "UNAVAILABLE"},
		{"list", "/user-directory?limit=2", views{rows: 3}, 200, `{"rows":[{"id":"k000"},{"id":"k001"}],"next":"k001"}` + "\n"},
		{"next page", "/user-directory?limit=2&after=k001", views{rows: 3}, 200, `{"rows":[{"id":"k002"}],"next":null}` + "\n"},
		{"exactly full", "/user-directory?limit=3", views{rows: 3}, 200, `"next":null`},
		{"empty", "/user-directory", views{}, 200, `{"rows":[],"next":null}` + "\n"},
		{"default limit", "/user-directory", views{rows: 150}, 200, `"next":"k099"`},
		{"largest limit", "/user-directory?limit=99999", views{rows: 1001}, 200, `"next":"k999"`},
		{"no limit", "/user-directory?limit=0", views{}, 400, `"field":"limit"`},
		{"bad limit", "/user-directory?limit=x", views{}, 400, `"INVALID"`},
		{"list of nothing", "/nothing", views{}, 404, `"NOT_FOUND"`},
		{"list with the store lost", "/user-directory", views{err: context.DeadlineExceeded}, 504, "TIMEOUT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := handler(t, func(c *httpapi.Config) { c.Projections = tc.views })
			w := call(h, "GET", "/v1/projections"+tc.target, "")
			decode(t, w)
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) || strings.HasSuffix(tc.want, "\n") && w.Body.String() != tc.want {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tc.status, tc.want)
			}
		})
	}
}

// A parameter that is misspelt is not taken for one that is left out.
func TestRoutes_UnknownQueryParameter(t *testing.T) {
	t.Parallel()
	for target, hint := range map[string]string{
		"POST /v1/commands/CREATE_USER?waite=5s":           "it has wait",
		"GET /v1/commands?x=1":                             "it has none",
		"GET /v1/commands/CREATE_USER?x=1":                 "it has none",
		"GET /v1/projections?limit=3":                      "it has none",
		"GET /v1/projections/user-directory?limits=3":      "it has limit, after",
		"GET /v1/projections/user-directory/k001?after=k0": "it has none",
	} {
		method, path, _ := strings.Cut(target, " ")
		b := &bus{}
		w := call(handler(t, func(c *httpapi.Config) { c.Commands, c.Projections = b, views{rows: 5} }), method, path, ada)
		_, query, _ := strings.Cut(path, "?")
		name, _, _ := strings.Cut(query, "=")
		e, _ := decode(t, w)["error"].(map[string]any)
		if w.Code != 400 || e["code"] != "INVALID" || e["field"] != name || e["hint"] != hint || len(b.sent) > 0 {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	h := handler(t, func(c *httpapi.Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
		c.Extra = map[string]http.Handler{"GET /mail": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })}
	})
	for _, tc := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/livez", 200, ""},
		{"HEAD", "/livez", 200, ""},
		{"GET", "/readyz", 200, ""},
		{"GET", "/metrics", 200, ""},
		{"GET", "/mail", 418, ""},
		{"GET", "/", 200, ""},
		{"POST", "/mail", 405, "GET, HEAD"},
		{"GET", "/v1/nothing", 404, ""},
		{"GET", "/v1/projections/user-directory/", 404, ""},
		{"DELETE", "/v1/commands/CREATE_USER", 405, "GET, HEAD, POST"},
		{"DELETE", "/v1/projections/user-directory/x", 405, "GET, HEAD"},
		{"POST", "/readyz", 405, "GET, HEAD"},
		{"POST", "/", 405, "GET, HEAD"},
	} {
		w := call(h, tc.method, tc.path, "")
		if w.Code != tc.status || w.Header().Get("Allow") != tc.allow {
			t.Errorf("%s %s: %d, Allow %q", tc.method, tc.path, w.Code, w.Header().Get("Allow"))
		}
		if w.Code == 404 || w.Code == 405 {
			if e, _ := decode(t, w)["error"].(map[string]any); e["code"] == nil || e["hint"] == "" {
				t.Errorf("%s %s: %s", tc.method, tc.path, w.Body)
			}
		}
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	h := handler(t, func(c *httpapi.Config) {
		c.Ready = func() map[string]error {
			return map[string]error{"send-welcome": errors.New("no connection\nto rabbit"), "create-user": errors.New("paused")}
		}
	})
	w := call(h, "GET", "/readyz", "")
	if want := "create-user: paused\nsend-welcome: no connection to rabbit\n"; w.Code != 503 || w.Body.String() != want {
		t.Errorf("%d %q, want 503 %q", w.Code, w.Body, want)
	}
	h = handler(t, func(c *httpapi.Config) { c.Paused = []string{"send-welcome"} })
	if w := call(h, "GET", "/readyz", ""); w.Code != 200 || w.Body.String() != "ok\nsend-welcome: paused in the settings\n" {
		t.Errorf("with a paused handler: %d %q", w.Code, w.Body)
	}
	if w := call(h, "GET", "/livez", ""); w.Code != 200 {
		t.Errorf("alive, but not ready: /livez answers %d", w.Code)
	}
}

func TestCommands_OtherOrigin(t *testing.T) {
	t.Parallel()
	w := call(handler(t, nil), "POST", "/v1/commands/CREATE_USER", ada, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	if w.Code != 403 || decode(t, w)["error"] == nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRoutes_Panic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := handler(t, func(c *httpapi.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Extra = map[string]http.Handler{
			"GET /panic": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("ouch") }),
			"GET /half": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "half")
				panic("ouch")
			}),
		}
	})
	w := call(h, "GET", "/panic", "")
	if e := decode(t, w)["error"].(map[string]any); w.Code != 500 || e["code"] != "PANIC" || strings.Contains(w.Body.String(), "ouch") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	func() {
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
				t.Errorf("half an answer: %v, want the connection cut", err)
			}
		}()
		call(h, "GET", "/half", "")
	}()
	call(h, "POST", "/v1/commands/CREATE_USER?wait=0s", `{"email":"private@example.com","name":"Ada"}`)
	lines := log.String()
	for _, want := range []string{`panic=ouch`, `route="GET /panic" status=500`, `method=POST route="POST /v1/commands/{type}" status=202`} {
		if !strings.Contains(lines, want) {
			t.Errorf("the log has no %q:\n%s", want, lines)
		}
	}
	if strings.Contains(lines, "private") {
		t.Errorf("the log holds a payload:\n%s", lines)
	}
}

func TestNew_Faults(t *testing.T) {
	t.Parallel()
	good := httpapi.Config{Catalogue: events.NewCatalogue(), Commands: &bus{}, Projections: views{}}
	for i, change := range []func(*httpapi.Config){
		func(c *httpapi.Config) { c.Catalogue = nil },
		func(c *httpapi.Config) { c.Commands = nil },
		func(c *httpapi.Config) { c.Projections = nil },
		func(c *httpapi.Config) { c.MaxBody = -1 },
		func(c *httpapi.Config) {
			c.Extra = map[string]http.Handler{"GET /livez": http.NotFoundHandler()}
		},
		func(c *httpapi.Config) { c.Extra = map[string]http.Handler{"nonsense": http.NotFoundHandler()} },
	} {
		c := good
		change(&c)
		if _, err := httpapi.New(c); events.CodeOf(err) != events.CodeConfig {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := httpapi.New(good); err != nil {
		t.Error(err)
	}
	if !slices.Equal(good.Names, nil) {
		t.Error("New changed its caller's Config")
	}
}

func TestCommands_TraceContext(t *testing.T) {
	t.Parallel()
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for given, want := range map[string]string{
		good: good, good + "-00": good + "-00", "": "", good[1:]: "", strings.ToUpper(good): "", "00x" + good[3:]: "",
		strings.Replace(good, "0af7", "0a-7", 1): "", good + strings.Repeat("0", 100): "",
	} {
		b := &bus{}
		h := handler(t, func(c *httpapi.Config) { c.Commands = b })
		if w := call(h, "POST", "/v1/commands/CREATE_USER", ada, "Traceparent", given); w.Code != 202 || b.sent[0].Traceparent != want {
			t.Errorf("%q: %d, sent with %q, want %q", given, w.Code, b.sent[0].Traceparent, want)
		}
	}
}

// An empty key is a variable that was not set: the command could not be sent again.
func TestCommands_EmptyIdempotencyKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", " ", `""`} {
		b := &bus{}
		h := handler(t, func(c *httpapi.Config) { c.Commands = b })
		w := call(h, "POST", "/v1/commands/CREATE_USER", ada, "Idempotency-Key", key)
		if e, _ := decode(t, w)["error"].(map[string]any); w.Code != 400 || e["code"] != "INVALID" || len(b.sent) > 0 {
			t.Errorf("%q: %d %s", key, w.Code, w.Body)
		}
	}
}
