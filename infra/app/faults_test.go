package app_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// quiet has a run listen on free ports.
func quiet() settings.Source {
	return settings.Source{Flags: map[string]string{"http_addr": "127.0.0.1:0", "dev_redis_addr": "127.0.0.1:0"}}
}

// broken panics with a nil map, as application code does by mistake.
func broken(none map[string]int) { none["a"] = 1 }

// TestDefine_Faults has everything that is nil or panics named, together with the
// application.
func TestDefine_Faults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*app.Application)
		want   []string // all of these are in the error
	}{
		"nothing":      {func(a *app.Application) { a.Handlers, a.Domains = nil, nil }, []string{`"shop" has no handlers`, `"shop" has no domains`}},
		"no domains":   {func(a *app.Application) { a.Domains = nil }, []string{`"shop" has no domains`}},
		"a nil domain": {func(a *app.Application) { a.Domains = append(a.Domains, nil) }, []string{`"shop"`, "Domains[1]", "nil"}},
		"a nil entry": {func(a *app.Application) {
			a.Domains = append(a.Domains, func(c *events.Catalogue) error { return c.Aggregate("other", nil) })
		}, []string{`"other"`, "entry 1 is nil"}},
		"domains panic": {func(a *app.Application) {
			a.Domains = append(a.Domains, func(*events.Catalogue) error { broken(nil); return nil })
		}, []string{`"shop"`, "Domains[1] panicked in app_test.broken (faults_test.go:", "nil map"}},
		"handlers panic":   {func(a *app.Application) { a.Handlers = func(app.Services) []router.Handler { broken(nil); return nil } }, []string{`"shop"`, "Handlers panicked in app_test.broken (faults_test.go:", "nil map"}},
		"no handlers":      {func(a *app.Application) { a.Handlers = func(app.Services) []router.Handler { return nil } }, []string{`"shop"`, "Handlers returns no handlers"}},
		"nil middleware":   {func(a *app.Application) { a.Middleware = []message.HandlerMiddleware{nil} }, []string{`"shop"`, "Middleware[0]"}},
		"nil dev service":  {func(a *app.Application) { a.Dev = []app.DevService{{Name: "Mail"}} }, []string{`"shop"`, "Dev[0].Start", "Mail"}},
		"nil sample":       {func(a *app.Application) { a.Samples.First = (*sample.Create)(nil) }, []string{`"shop"`, "Samples.First", "*sample.Create"}},
		"a setting's help": {func(a *app.Application) { a.Settings = []settings.Setting{{Name: "currency"}} }, []string{`"currency" has no Usage`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := minimal(nil)
			tt.change(&a)
			_, err := app.Define(a)
			wantConfig(t, err, tt.want...)
		})
	}
}

// TestNew_Generator refuses a generator that dev could not send anything from.
func TestNew_Generator(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		generator func() func() events.Command
		want      string
	}{
		"no function":   {func() func() events.Command { return nil }, "returned nil"},
		"no command":    {func() func() events.Command { return func() events.Command { return nil } }, "a function that returned nil"},
		"a nil pointer": {func() func() events.Command { return func() events.Command { return (*sample.Create)(nil) } }, "a function that returned nil"},
		"a panic":       {func() func() events.Command { broken(nil); return nil }, "panicked in app_test.broken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := minimal(nil)
			a.Samples.Generator = tt.generator
			_, err := app.New(a, quiet(), app.Options{Dev: true})
			wantConfig(t, err, `"shop"`, "Samples.Generator", tt.want)
			if _, err := app.New(a, quiet(), app.Options{}); err != nil {
				t.Errorf("without dev, where it is not used: %v", err)
			}
		})
	}
}

// TestApp_Run_Panics has functions of the application that panic end the run with an error.
func TestApp_Run_Panics(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*app.Application)
		want   string
	}{
		"routes": {func(a *app.Application) {
			a.Routes = func(app.Services) map[string]http.Handler { broken(nil); return nil }
		}, "Routes panicked in app_test.broken (faults_test.go:"},
		"a nil route": {func(a *app.Application) {
			a.Routes = func(app.Services) map[string]http.Handler { return map[string]http.Handler{"GET /x": nil} }
		}, `"GET /x"`},
		"a dev service": {func(a *app.Application) {
			a.Dev = []app.DevService{{Name: "Mail", Start: func(app.DevEnvironment) (*app.DevInstance, error) { broken(nil); return nil, nil }}}
		}, `"Mail" for dev panicked in app_test.broken`},
		"no dev instance": {func(a *app.Application) {
			a.Dev = []app.DevService{{Name: "Mail", Start: func(app.DevEnvironment) (*app.DevInstance, error) { return nil, nil }}}
		}, `"Mail" for dev started without an instance`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := minimal(nil)
			tt.change(&a)
			running, err := app.New(a, quiet(), app.Options{Dev: true})
			if err != nil {
				t.Fatal(err)
			}
			wantConfig(t, running.Run(within(t)), tt.want)
		})
	}
}

// TestApp_Dev_SmallInstance has a service for dev leave out what is optional.
func TestApp_Dev_SmallInstance(t *testing.T) {
	t.Parallel()
	a := minimal(nil)
	a.Dev = []app.DevService{{Name: "Mail", Start: func(app.DevEnvironment) (*app.DevInstance, error) { return &app.DevInstance{URL: "http://mail"}, nil }}}
	running, stop := start(t, a, app.Options{})
	select {
	case <-running.Running():
	case <-within(t).Done():
		t.Fatal("it does not start")
	}
	if d := running.Dev(); len(d.Services) != 1 || d.Services[0] != (app.DevLine{Name: "Mail", URL: "http://mail"}) {
		t.Errorf("dev is %+v", d)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestApp_Run_ChangedHandlers refuses handlers that differ in more than their names.
func TestApp_Run_ChangedHandlers(t *testing.T) {
	t.Parallel()
	onCreated := func(p ...router.Policy) router.Handler {
		return router.On("h", func(context.Context, router.Event[sample.Created]) error { return nil }, p...)
	}
	onDeactivated := router.On("h", func(context.Context, router.Event[sample.Deactivated]) error { return nil })
	for name, tt := range map[string]struct {
		now  []router.Handler
		want []string
	}{
		"another type":  {[]router.Handler{onDeactivated}, []string{"first it returned h (reaction) of USER_CREATED;", "now it returned h (reaction) of USER_DEACTIVATED"}},
		"another queue": {[]router.Handler{onCreated(router.Policy{Queue: "q"})}, []string{"now it returned h (reaction) of USER_CREATED on the queue q"}},
		"none":          {nil, []string{"now it returned none"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			a := app.Application{Name: "shop", Domains: []events.Domain{sample.Register}, Handlers: func(app.Services) []router.Handler {
				if calls++; calls == 1 {
					return []router.Handler{onCreated()}
				}
				return tt.now
			}}
			running, err := app.New(a, quiet(), app.Options{Dev: true})
			if err != nil {
				t.Fatal(err)
			}
			wantConfig(t, running.Run(within(t)), append(tt.want, "the same handlers each time")...)
		})
	}
}

// TestServices_Zero has a test's own services be enough to call OnStop and Fail.
func TestServices_Zero(t *testing.T) {
	t.Parallel()
	var s app.Services
	s.OnStop(func() error { t.Error("it is called"); return nil })
	s.Fail(context.Canceled)
}

func wantConfig(t *testing.T, err error, texts ...string) {
	t.Helper()
	if events.CodeOf(err) != events.CodeConfig {
		t.Fatalf("got %v, want an error with the code CONFIG", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in: %v", text, err)
		}
	}
}
