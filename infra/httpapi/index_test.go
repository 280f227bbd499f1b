package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/httpapi"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

func answering(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

// shop is an API with routes of the application's own.
func shop(t *testing.T) http.Handler {
	t.Helper()
	return handler(t, func(c *httpapi.Config) {
		c.Application, c.Version, c.Metrics = "shop", "v1.2.3<", answering(http.StatusOK)
		c.Extra = map[string]http.Handler{
			"GET /mail": answering(http.StatusOK), "/files/{name}": answering(http.StatusOK), "DELETE /mail": answering(http.StatusOK), "example.com/x": answering(http.StatusOK),
		}
	})
}

func TestIndex_ListsRoutes(t *testing.T) {
	t.Parallel()
	w := call(shop(t), "GET", "/", "", "Accept", "application/json")
	var got struct {
		Application, Version string
		Links                []struct{ Method, Path, About string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	var routes []string
	for _, l := range got.Links {
		routes = append(routes, l.Method+" "+l.Path)
		if l.About == "" {
			t.Errorf("%s says nothing about itself", l.Path)
		}
	}
	want := []string{
		"GET /v1/commands", "POST /v1/commands/{type}", "GET /v1/projections", "GET /v1/projections/a", "GET /v1/projections/user-directory",
		"GET /livez", "GET /readyz", "GET /metrics", "GET /files/{name}", "DELETE /mail", "GET /mail",
	}
	if diff := cmp.Diff(want, routes); diff != "" || got.Application != "shop" || got.Version != "v1.2.3<" {
		t.Errorf("%s %s has (-want +got):\n%s", got.Application, got.Version, diff)
	}
	for _, l := range got.Links {
		if l.Method != http.MethodGet || strings.Contains(l.Path, "{") {
			continue
		}
		if w := call(shop(t), "GET", l.Path, ""); w.Code != http.StatusOK {
			t.Errorf("%s answers %d", l.Path, w.Code)
		}
	}
}

func TestIndex_Accept(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ accept, contentType, want string }{
		{"text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8", `<a href="/mail">/mail</a>`},
		{"text/html", "text/html; charset=utf-8", `v1.2.3&lt;`},
		{"application/json", "application/json", `"application":"shop","version":"v1.2.3<"`},
		{"*/*", "text/plain; charset=utf-8", "shop v1.2.3<\n\nGET   /v1/commands "},
		{"", "text/plain; charset=utf-8", "\nPOST  /v1/commands/{type}"},
	} {
		w := call(shop(t), "GET", "/", "", "Accept", tc.accept)
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != tc.contentType || w.Header().Get("Vary") != "Accept" || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%q: %d %s %s, want %s with %q", tc.accept, w.Code, got, w.Body, tc.contentType, tc.want)
		}
	}
}

// An application that has a front page keeps it.
func TestIndex_OwnRoot(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern string
		root    int // what GET / answers
		other   int // what an unknown path answers
	}{
		{"/", http.StatusTeapot, http.StatusTeapot},
		{"GET /", http.StatusTeapot, http.StatusTeapot},
		{"GET /{$}", http.StatusTeapot, http.StatusNotFound},
		{"/{$}", http.StatusTeapot, http.StatusNotFound},
	} {
		h := handler(t, func(c *httpapi.Config) { c.Extra = map[string]http.Handler{tc.pattern: answering(http.StatusTeapot)} })
		if w := call(h, "GET", "/", ""); w.Code != tc.root {
			t.Errorf("%s: GET / answers %d, want %d", tc.pattern, w.Code, tc.root)
		}
		if w := call(h, "GET", "/nothing", ""); w.Code != tc.other {
			t.Errorf("%s: an unknown path answers %d, want %d", tc.pattern, w.Code, tc.other)
		}
		if w := call(h, "POST", "/livez", ""); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: a wrong method answers %d", tc.pattern, w.Code)
		}
	}
}

func TestIndex_UnknownPath(t *testing.T) {
	t.Parallel()
	e := decode(t, call(handler(t, nil), "GET", "/v2/x", ""))["error"].(map[string]any)
	if e["code"] != "NOT_FOUND" || !strings.Contains(e["message"].(string), `"/v2/x"`) || e["hint"] != "GET / lists what is there" {
		t.Errorf("%v", e)
	}
}

func TestCommandTypes(t *testing.T) {
	t.Parallel()
	h := handler(t, func(c *httpapi.Config) { c.Example = sample.Create{Email: "o'neil@example.com", Name: "<O'Neil>"} })
	var all struct{ Commands []map[string]any }
	if err := json.Unmarshal(call(h, "GET", "/v1/commands", "").Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	var names []any
	for _, c := range all.Commands {
		names = append(names, c["type"])
		one := decode(t, call(h, "GET", "/v1/commands/"+c["type"].(string), ""))
		if diff := cmp.Diff(c, one); diff != "" {
			t.Errorf("%s differs by itself:\n%s", c["type"], diff)
		}
	}
	if diff := cmp.Diff([]any{"CHANGE_USER_EMAIL", "CREATE_USER"}, names); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	create := all.Commands[1]
	want := []any{
		map[string]any{"name": "userId", "type": "string", "required": false},
		map[string]any{"name": "email", "type": "string", "required": true},
		map[string]any{"name": "name", "type": "string", "required": true},
	}
	for _, f := range create["fields"].([]any) {
		delete(f.(map[string]any), "doc")
	}
	if diff := cmp.Diff(want, create["fields"]); diff != "" || create["aggregate"] != "user" {
		t.Errorf("aggregate %v, fields (-want +got):\n%s", create["aggregate"], diff)
	}
	w := call(h, "GET", "/v1/commands/USER_CREATED", "")
	if e := decode(t, w)["error"].(map[string]any); w.Code != http.StatusNotFound || !strings.Contains(e["hint"].(string), "CREATE_USER") {
		t.Errorf("an event: %d %s", w.Code, w.Body)
	}
}

// The example of a command works as it is, in a shell.
func TestCommandTypes_Example(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl")
	}
	example := sample.Create{Email: "o'neil@example.com", Name: "<O'Neil> $HOME"}
	b := &bus{outcome: events.Outcome{Status: events.StatusAccepted}}
	server := httptest.NewServer(handler(t, func(c *httpapi.Config) { c.Commands, c.Example = b, example }))
	t.Cleanup(server.Close)
	resp, err := client(t).Get(server.URL + "/v1/commands/CREATE_USER")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ Example string }
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatal(err)
	}
	sh := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(info.Example, "curl", curl+" -sS --noproxy '*'", 1))
	if out, err := sh.CombinedOutput(); err != nil || !strings.Contains(string(out), `"accepted"`) {
		t.Fatalf("%s: %v %s", info.Example, err, out)
	}
	if diff := cmp.Diff(events.Command(example), b.command); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
}

func TestCommandTypes_Placeholders(t *testing.T) {
	t.Parallel()
	got := decode(t, call(handler(t, nil), "GET", "/v1/commands/CREATE_USER", ""))["example"]
	if want := `curl -d '{"email":"<email>","name":"<name>"}' 'http://example.com/v1/commands/CREATE_USER?wait=5s'`; got != want {
		t.Errorf("the example is\n%s, want\n%s", got, want)
	}
}

func TestProjectionNames(t *testing.T) {
	t.Parallel()
	w := call(handler(t, nil), "GET", "/v1/projections", "")
	want := `{"projections":[{"name":"a","rows":"/v1/projections/a"},{"name":"user-directory","rows":"/v1/projections/user-directory"}]}` + "\n"
	if w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
	w = call(handler(t, func(c *httpapi.Config) { c.Application, c.Names = "shop", nil }), "GET", "/v1/projections/x", "")
	if e := decode(t, w)["error"].(map[string]any); w.Code != http.StatusNotFound || e["hint"] != "the application shop has none" {
		t.Errorf("without projections: %d %v", w.Code, e)
	}
}
