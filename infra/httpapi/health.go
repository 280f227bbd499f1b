package httpapi

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/pitwheel/pitwheel/events"
)

// live is GET /livez: the process responds, whatever the state of its brokers: a restart
// would not fix them.
func live(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") }

// ready is GET /readyz: one line for each handler that is not consuming, and why, with the
// way out where it is known, and one for each thing that an operator has to look at though the
// service is ready; or that the service drains, so that no more requests are sent to it.
func (a *api) ready(w http.ResponseWriter, _ *http.Request) {
	if a.stopping() {
		plain(w, http.StatusServiceUnavailable, "draining\n")
		return
	}
	var waiting map[string]error
	if a.Ready != nil {
		waiting = a.Ready()
	}
	status, text := http.StatusOK, "ok\n"
	if len(waiting) > 0 {
		status, text = http.StatusServiceUnavailable, ""
	}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		why := fmt.Sprint(waiting[name])
		if e := (*events.Error)(nil); errors.As(waiting[name], &e) && e.Hint != "" {
			why += "; " + e.Hint
		}
		text += name + ": " + strings.Join(strings.Fields(why), " ") + "\n"
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

// stopping reports whether the service stops.
func (a *api) stopping() bool {
	select {
	case <-a.Stopping:
		return true
	default:
		return false
	}
}

// errStopping returns the error for a request that was not answered because of the stop:
// another instance answers it, or this one after its next start.
func errStopping(why string) *events.Error {
	return events.Errorf(events.CodeShuttingDown, "the service is stopping: %s", why).MayRetry().
		WithHint("send it again; a command with the same %s never adds an event twice", headerIdempotencyKey)
}

func plain(w http.ResponseWriter, status int, text string) {
	_ = write(w, status, "text/plain; charset=utf-8", []byte(text)) // It fails if the client has disconnected.
}
