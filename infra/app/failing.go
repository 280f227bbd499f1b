package app

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// codeInjected is the code of the failures of [Options].Fail.
const codeInjected = "INJECTED"

// failing returns a middleware with which every attempt of the named handlers fails. A poison
// message that is retried is handled, as after its cause has been removed: the way from the
// failure to its end can be tried out while the application runs.
func failing(handlers []string) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			name := router.HandlerName(msg.Context())
			if slices.Contains(handlers, name) && msg.Metadata[poison.MetaRetried] == "" {
				return nil, events.Errorf(codeInjected, "failed by --fail %s; a poison message that is retried is handled", name)
			}
			return next(msg)
		}
	}
}

// failingSoon returns overrides with which the named handlers fail for the last time within
// seconds, so that nobody who tries out a failure waits for minutes. What the operator has set
// remains.
func failingSoon(handlers []string, overrides map[string]router.Overrides) map[string]router.Overrides {
	if len(handlers) == 0 {
		return overrides
	}
	out := map[string]router.Overrides{}
	maps.Copy(out, overrides)
	attempts, backoff, maxBackoff := 5, 100*time.Millisecond, time.Second
	for _, name := range handlers {
		if o := out[name]; o.Attempts == nil && o.Backoff == nil && o.MaxBackoff == nil {
			o.Attempts, o.Backoff, o.MaxBackoff = &attempts, &backoff, &maxBackoff
			out[name] = o
		}
	}
	return out
}

// checkFail returns an error if one of the names is not that of a handler that can be made
// to fail: middleware runs around handlers of commands and events.
func (d *Definition) checkFail(fail []string) error {
	var names []string
	for _, h := range d.Handlers {
		if h.Kind() != router.KindProjection {
			names = append(names, h.Name())
		}
	}
	for _, name := range fail {
		switch {
		case slices.Contains(names, name):
		case slices.Contains(d.HandlerNames(), name):
			return events.Errorf(events.CodeConfig, "%s is a projection, and cannot be made to fail", name).WithField("fail").
				WithHint("handlers of commands and events can: %s", strings.Join(names, ", "))
		default:
			return events.Errorf(events.CodeConfig, "no handler is named %q%s", name, settings.Suggest(name, names)).WithField("fail").
				WithHint("handlers of commands and events can be made to fail; `%s handler list` shows them", d.Name)
		}
	}
	return nil
}
