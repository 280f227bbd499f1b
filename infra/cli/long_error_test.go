package cli

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// TestFailures_LongErrors has handlers fail with 300 kB of text, which would not fit into a
// frame of AMQP: at once, after a delayed attempt, and by a panic. It becomes a poison
// message with a readable text, and nothing else is affected.
func TestFailures_LongErrors(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("žluťoučký kůň ", 20_000)
	onBoth(t, func(t *testing.T, r *rig) {
		var handled atomic.Int64
		r.handler = router.On("h", func(_ context.Context, e router.Event[sample.Created]) error {
			switch e.Data.Name {
			case "permanent":
				return events.Permanent(errors.New(text))
			case "later":
				return events.RetryAfter(1100*time.Millisecond, errors.New(text))
			case "panic":
				panic(text)
			case "code":
				return &events.Error{Code: text, Message: text, Hint: text, Field: text}
			}
			handled.Add(1)
			return nil
		}, router.Policy{Attempts: 2})
		r.run()
		for _, name := range []string{"permanent", "later", "panic", "code"} {
			r.publishAll(created(events.NewID(), name), created(events.NewID(), "good"))
		}
		for _, l := range r.poisoned(4) {
			shown := pitwheel(t, r.environ, "poison", "show", l.ID, "-o", "json").ok(t).stdout
			if len(l.Reason) < 1000 || len(l.Reason) > 4<<10 || len(l.Code) > 200 || !utf8.ValidString(l.Reason) || len(shown) > 32<<10 {
				t.Errorf("the poison message has a text of %d bytes and a code of %d, and is shown in %d", len(l.Reason), len(l.Code), len(shown))
			}
		}
		programtest.Eventually(t, "the other messages to be handled", func() bool { return handled.Load() == 4 })
		if n := r.losses.Load(); n != 0 {
			t.Errorf("the connection was lost %d times", n)
		}
	}, nil)
}
