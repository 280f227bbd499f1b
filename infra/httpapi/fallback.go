package httpapi

import (
	"net/http"
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// fallback gets the requests that no route handles. A path that exists for another method
// is answered with 405. All other paths belong to the application's own handler of "/", if
// it has one. [http.ServeMux] would answer by itself, but not in JSON.
func (a *api) fallback() http.Handler {
	other := a.Extra["/"]
	if other == nil {
		other = a.endpoint(a.notFound)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := a.methods(r)
		if allowed == "" {
			other.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", allowed)
		a.fail(w, r, http.StatusMethodNotAllowed, events.Errorf(events.CodeInvalid, "the method %s is not for this path", r.Method).WithHint("use %s", allowed))
	})
}

// methods returns the methods that the path of a request has a route for.
func (a *api) methods(r *http.Request) string {
	var out []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(probe); pattern != "/" {
			out = append(out, method)
		}
	}
	return strings.Join(out, ", ")
}

func (a *api) notFound(_ http.ResponseWriter, r *http.Request) error {
	hint := "GET / lists what is there"
	if a.ownRoot() {
		hint = "GET /v1/commands and GET /v1/projections list commands and projections"
	}
	return events.Errorf(events.CodeNotFound, "there is nothing at %.128q", r.URL.Path).WithHint("%s", hint)
}
