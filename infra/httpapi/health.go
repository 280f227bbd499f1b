package httpapi

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// live is GET /livez: the process responds, whatever the state of its brokers: a restart
// would not fix them.
func live(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") }

// ready is GET /readyz: one line for each handler that is not consuming, and why, and one
// for each thing that an operator has to look at though the service is ready.
func (a *api) ready(w http.ResponseWriter, _ *http.Request) {
	var waiting map[string]error
	if a.Ready != nil {
		waiting = a.Ready()
	}
	status, text := http.StatusOK, "ok\n"
	if len(waiting) > 0 {
		status, text = http.StatusServiceUnavailable, ""
	}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		text += name + ": " + strings.Join(strings.Fields(fmt.Sprint(waiting[name])), " ") + "\n"
	}
	for _, name := range a.Paused {
		text += name + ": paused in the settings\n"
	}
	if a.Warnings != nil {
		warnings := a.Warnings()
		for _, name := range slices.Sorted(maps.Keys(warnings)) {
			text += name + ": " + warnings[name] + "\n"
		}
	}
	plain(w, status, text)
}

func plain(w http.ResponseWriter, status int, text string) {
	_ = write(w, status, "text/plain; charset=utf-8", []byte(text)) // It fails if the client has disconnected.
}
