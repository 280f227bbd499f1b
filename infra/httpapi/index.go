package httpapi

import (
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/json"
)

// contents is what GET / lists.
type contents struct {
	Application string  `json:"application"`
	Version     string  `json:"version"`
	Links       []entry `json:"links"`
}

// entry is one route.
type entry struct {
	Method string `json:"method"`
	// Path may hold placeholders, such as {type}.
	Path  string `json:"path"`
	About string `json:"about"`
}

// Linked reports whether a browser can open the path as it is.
func (e entry) Linked() bool { return e.Method == http.MethodGet && !strings.Contains(e.Path, "{") }

// contents returns the routes: those of every application, then the application's own.
func (a *api) contents() contents {
	c := contents{Application: a.Application, Version: a.Version, Links: []entry{
		{http.MethodGet, "/v1/commands", "the commands, their fields and an example of each"},
		{http.MethodPost, "/v1/commands/{type}", "send a command; ?wait=5s waits for its outcome"},
		{http.MethodGet, "/v1/projections", "the projections"},
	}}
	for _, name := range a.Names {
		c.Links = append(c.Links, entry{http.MethodGet, "/v1/projections/" + name, "rows of the projection " + name})
	}
	c.Links = append(c.Links,
		entry{http.MethodGet, "/livez", "whether the process responds"},
		entry{http.MethodGet, "/readyz", "whether every handler is consuming, and why not"})
	if a.Metrics != nil {
		c.Links = append(c.Links, entry{http.MethodGet, "/metrics", "metrics for Prometheus"})
	}
	var own []entry
	for pattern := range a.Extra {
		method, path := splitPattern(pattern)
		if !strings.HasPrefix(path, "/") {
			continue // It is only for one host.
		}
		if method == "" {
			method = http.MethodGet
		}
		own = append(own, entry{method, strings.TrimSuffix(path, "{$}"), "a route of the application"})
	}
	slices.SortFunc(own, func(x, y entry) int { return strings.Compare(x.Path+x.Method, y.Path+y.Method) })
	c.Links = append(c.Links, own...)
	return c
}

// ownRoot reports whether the application has a route of its own for "/".
func (a *api) ownRoot() bool {
	for pattern := range a.Extra {
		if _, path := splitPattern(pattern); path == "/" || path == "/{$}" {
			return true
		}
	}
	return false
}

// splitPattern returns the parts of an [http.ServeMux] pattern. The method may be empty,
// and the path may begin with a host.
func splitPattern(pattern string) (method, path string) {
	if method, path, ok := strings.Cut(pattern, " "); ok {
		return method, strings.TrimLeft(path, " \t")
	}
	return "", pattern
}

// index is GET /: a page for browsers, JSON for who asks for it, and else text.
func (a *api) index(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Vary", "Accept")
	c := a.contents()
	accept := r.Header.Get("Accept")
	contentType, body, err := "text/plain; charset=utf-8", []byte(nil), error(nil)
	switch {
	case strings.Contains(accept, "text/html"):
		contentType = "text/html; charset=utf-8"
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		body, err = c.page()
	case strings.Contains(accept, "application/json"):
		contentType = "application/json"
		body, err = json.MarshalReadable(c)
		body = append(body, '\n')
	default:
		body = c.text()
	}
	if err != nil {
		return events.Errorf(events.CodeInternal, "the list of routes cannot be written: %w", err)
	}
	_ = write(w, http.StatusOK, contentType, body) // It fails if the client has disconnected.
	return nil
}

// text returns one line for each route.
func (c contents) text() []byte {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(c.Application+" "+c.Version) + "\n\n")
	width := 0
	for _, l := range c.Links {
		width = max(width, len(l.Path))
	}
	for _, l := range c.Links {
		b.WriteString(l.Method + strings.Repeat(" ", max(0, len("POST")-len(l.Method))) + "  " + l.Path + strings.Repeat(" ", width-len(l.Path)) + "  " + l.About + "\n")
	}
	return []byte(b.String())
}

func (c contents) page() ([]byte, error) {
	var b strings.Builder
	t, err := template.New("index").Parse(indexPage)
	if err == nil {
		err = t.Execute(&b, c)
	}
	return []byte(b.String()), err
}

const indexPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.Application}}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
table { border-collapse: collapse }
td { border-top: 1px solid #8884; padding: .3rem 1rem .3rem 0; vertical-align: top }
small { opacity: .7 }
</style>
<h1>{{.Application}} <small>{{.Version}}</small></h1>
<table>
{{range .Links}}<tr><td><small>{{.Method}}</small><td><code>{{if .Linked}}<a href="{{.Path}}">{{.Path}}</a>{{else}}{{.Path}}{{end}}</code><td>{{.About}}
{{end}}</table>
</html>
`
