package router_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// diary is what a test's middleware and handlers have seen, in order.
type diary struct {
	mu      sync.Mutex
	entries []string
}

func (d *diary) write(entry string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entry)
}

// noted is middleware that notes each call and what it returned.
func (d *diary) noted(name string) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			d.write(name)
			out, err := next(msg)
			if err != nil {
				d.write(name + ": " + err.Error())
			}
			return out, err
		}
	}
}

func withMiddleware(m ...message.HandlerMiddleware) func(*router.Config) {
	return func(c *router.Config) { c.Middleware = m }
}

func TestConfig_Middleware_SeesEachAttempt(t *testing.T) {
	t.Parallel()
	var d diary
	attempts := 0
	kit := routertest.StartWith(t, withMiddleware(d.noted("outer"), d.noted("inner")), catalogue(t),
		router.On("h", func(context.Context, router.Event[sample.Created]) error {
			d.write("handler")
			if attempts++; attempts == 1 {
				return errors.New("not yet")
			}
			return nil
		}))
	kit.Record(created(ada))
	// It does not see a message that the handler is not called for.
	kit.Deliver("user.events", "USER_CREATED", []byte(`{"broken`))
	want := []string{"outer", "inner", "handler", "inner: not yet", "outer: not yet", "outer", "inner", "handler"}
	if diff := cmp.Diff(want, d.entries); diff != "" {
		t.Errorf("called otherwise than wanted (-want +got):\n%s", diff)
	}
}

// tenantKey is a value of an application's own in the context of a message.
type tenantKey struct{}

func TestConfig_Middleware_Context(t *testing.T) {
	t.Parallel()
	tenant := func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			msg.SetContext(context.WithValue(msg.Context(), tenantKey{}, "acme"))
			return next(msg)
		}
	}
	var kit *routertest.Kit
	kit = routertest.StartWith(t, withMiddleware(tenant), catalogue(t),
		router.Decide("create", register),
		router.On("h", func(ctx context.Context, _ router.Event[sample.EmailChanged]) error {
			name, _ := ctx.Value(tenantKey{}).(string)
			_, err := kit.Commands().Send(ctx, sample.Create{Email: "a@example.com", Name: name}, events.SendOptions{})
			return err
		}))
	kit.Record(sample.EmailChanged{UserID: ada})
	published := kit.Published("user.events")
	if len(published) != 2 || !strings.Contains(string(published[1].Data), "acme") || published[1].CorrelationID != published[0].CorrelationID {
		t.Errorf("published: %+v", published)
	}
}

func TestConfig_Middleware_Results(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, tt := range []struct {
		name       string
		middleware message.HandlerMiddleware
		fails      error
		reason     string // of the poison message; empty if there is none
	}{
		{"an error that it handles is not a failure", func(next message.HandlerFunc) message.HandlerFunc {
			return func(msg *message.Message) ([]*message.Message, error) {
				_, _ = next(msg)
				return nil, nil
			}
		}, boom, ""},
		{"an error of its own is a failed attempt", func(message.HandlerFunc) message.HandlerFunc {
			return func(*message.Message) ([]*message.Message, error) {
				return nil, events.Permanent(errors.New("its own"))
			}
		}, nil, "its own"},
		{"a panic of its own is a failed attempt", func(message.HandlerFunc) message.HandlerFunc {
			return func(*message.Message) ([]*message.Message, error) { panic("crash") }
		}, nil, "handler h panicked: crash"},
		{"it must not return messages", func(next message.HandlerFunc) message.HandlerFunc {
			return func(msg *message.Message) ([]*message.Message, error) {
				_, err := next(msg)
				return []*message.Message{msg}, err
			}
		}, nil, "a middleware returned 1 messages; events are published from the log alone, and commands are sent with Commands"},
		{"it must not replace the context", func(next message.HandlerFunc) message.HandlerFunc {
			return func(msg *message.Message) ([]*message.Message, error) { return next(msg.Copy()) }
		}, nil, "a middleware passed on a message whose context is not derived from that of its own"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			kit := routertest.StartWith(t, withMiddleware(tt.middleware), catalogue(t),
				router.On("h", func(context.Context, router.Event[sample.Created]) error { return tt.fails }))
			kit.Record(created(ada))
			poisoned := kit.Poisoned("h")
			switch {
			case tt.reason == "" && (len(poisoned) > 0 || len(kit.Handled("h")) != 1):
				t.Errorf("handled %v, poison messages %+v", kit.Handled("h"), poisoned)
			case tt.reason != "" && (len(poisoned) != 1 || poisoned[0].Reason != tt.reason):
				t.Errorf("poison messages %+v, want one with the reason %q", poisoned, tt.reason)
			}
		})
	}
}

// What only the framework knows of a call is not lost on the way through middleware: a
// repeated command counts as a duplicate, and a store that fails is not a failed attempt.
func TestConfig_Middleware_KeepsOutcomes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		metrics, err := router.NewMetrics(registry)
		if err != nil {
			t.Fatal(err)
		}
		var d diary
		var faults routertest.Faults
		kit := routertest.StartWith(t, func(c *router.Config) {
			faults.Inject(c)
			c.Metrics = metrics
			c.Middleware = []message.HandlerMiddleware{d.noted("middleware")}
		}, catalogue(t), router.Decide("create", register, router.Policy{Attempts: 1}))
		faults.On("Append").Times(2).Fail()
		for range 2 {
			receipt, err := kit.Commands().Send(t.Context(), sample.Create{UserID: ada, Email: "a@example.com", Name: "Ada"}, events.SendOptions{ID: "order 7"})
			if err != nil {
				t.Fatal(err)
			}
			outcome, err := kit.Commands().Await(t.Context(), receipt)
			if err != nil || outcome.Status != events.StatusAccepted {
				t.Errorf("the outcome is %+v, %v", outcome, err)
			}
			kit.Settle()
		}
		if l := kit.Poisoned("create"); len(l) > 0 {
			t.Errorf("poison messages: %+v", l)
		}
		err = testutil.CollectAndCompare(registry, strings.NewReader(`
			# HELP pitwheel_handler_messages_total Messages by outcome; retried counts failed attempts that another one follows, parked those that have to wait behind another message of their key.
			# TYPE pitwheel_handler_messages_total counter
			pitwheel_handler_messages_total{handler_name="create",outcome="duplicate"} 1
			pitwheel_handler_messages_total{handler_name="create",outcome="handled"} 1
			pitwheel_handler_messages_total{handler_name="create",outcome="parked"} 0
			pitwheel_handler_messages_total{handler_name="create",outcome="poisoned"} 0
			pitwheel_handler_messages_total{handler_name="create",outcome="retried"} 0
		`), "pitwheel_handler_messages_total")
		if err != nil {
			t.Error(err)
		}
		if len(d.entries) != 6 { // Four calls, two of which failed.
			t.Errorf("the middleware saw %q", d.entries)
		}
	})
}

// Middleware that deals with every error does not lose a command while the store fails.
func TestConfig_Middleware_SwallowsNoStoreError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var faults routertest.Faults
		kit := routertest.StartWith(t, func(c *router.Config) {
			faults.Inject(c)
			c.Middleware = []message.HandlerMiddleware{func(next message.HandlerFunc) message.HandlerFunc {
				return func(msg *message.Message) ([]*message.Message, error) {
					_, _ = next(msg)
					return nil, nil
				}
			}}
		}, catalogue(t), router.Decide("create", register))
		faults.On("Append").Times(2).Fail()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		outcome, err := kit.Commands().Execute(ctx, sample.Create{UserID: ada, Email: "a@example.com", Name: "Ada"}, events.SendOptions{})
		if err != nil || outcome.Status != events.StatusAccepted {
			t.Errorf("the outcome is %+v, %v", outcome, err)
		}
	})
}
