package router_test

import (
	"context"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// renamed is an event whose data may be null.
type renamed map[string]string

func (renamed) EventType() string { return "RENAMED" }

// TestDecide_NilEvent refuses events that have no data, before anything is stored.
func TestDecide_NilEvent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		event events.Data
		want  string
	}{
		"untyped nil":   {nil, "event 2 of 2 that is nil"},
		"a nil pointer": {(*sample.Created)(nil), "a nil *sample.Created"},
		"a nil map":     {renamed(nil), "a nil router_test.renamed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := events.NewCatalogue()
			if err := c.Aggregate("user", events.StateOf[sample.User](), events.CommandOf[sample.Create](), events.EventOf[sample.Created](), events.EventOf[renamed]()); err != nil {
				t.Fatal(err)
			}
			calls := 0
			kit := routertest.Start(t, c, router.Decide("create", func(context.Context, sample.Create, sample.User) ([]events.Data, error) {
				calls++
				return []events.Data{created(ada), tt.event}, nil
			}))
			if _, err := kit.Commands().Send(t.Context(), sample.Create{UserID: ada, Email: "a@example.com", Name: "A"}, events.SendOptions{}); err != nil {
				t.Fatal(err)
			}
			kit.Settle()
			poisoned := kit.Poisoned("create")
			if len(poisoned) != 1 || poisoned[0].Code != events.CodeInternal || !strings.Contains(poisoned[0].Reason, `handler "create"`) || !strings.Contains(poisoned[0].Reason, tt.want) {
				t.Errorf("poison messages %+v, want one that says %q", poisoned, tt.want)
			}
			if e := kit.Published("user.events"); len(e) > 0 || calls != 1 {
				t.Errorf("after %d calls %+v is published", calls, e)
			}
		})
	}
}

func TestCommands_Send_Nil(t *testing.T) {
	t.Parallel()
	kit := routertest.Start(t, catalogue(t), router.Decide("create", create))
	for _, cmd := range []events.Command{nil, (*sample.Create)(nil)} {
		if _, err := kit.Commands().Send(t.Context(), cmd, events.SendOptions{}); events.CodeOf(err) != events.CodeInvalid {
			t.Errorf("%T ends with %v", cmd, err)
		}
	}
}

func TestNew_NilMiddleware(t *testing.T) {
	t.Parallel()
	pass := func(next message.HandlerFunc) message.HandlerFunc { return next }
	c := router.Config{Catalogue: catalogue(t), Middleware: []message.HandlerMiddleware{pass, nil}}
	c.Transport, c.Log, c.Reader, c.Elector = struct{ router.Transport }{}, struct{ router.Log }{}, struct{ router.LogReader }{}, struct{ router.Elector }{}
	c.Checkpoints, c.Projections = struct{ router.Checkpoints }{}, struct{ router.ProjectionStore }{}
	if _, err := router.New(c); events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "Middleware[1] is nil") {
		t.Errorf("got %v", err)
	}
}
