package httpapi

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// live is GET /livez: the process answers, whatever its brokers do. Restarting it
// would not bring them back.
func live(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") }

// ready is GET /readyz: one line for each handler that is not consuming, and why.
func (a *api) ready(w http.ResponseWriter, _ *http.Request) {
	var waiting map[string]error
	if a.Ready != nil {
		waiting = a.Ready()
	}
	if len(waiting) == 0 {
		plain(w, http.StatusOK, "ok\n")
		return
	}
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		why := strings.Join(strings.Fields(fmt.Sprint(waiting[name])), " ")
		_, _ = fmt.Fprintf(&lines, "%s: %s\n", name, why)
	}
	plain(w, http.StatusServiceUnavailable, lines.String())
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // The caller has gone if this fails.
}
