package app_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// minimal is the sample domain as an application named shop, with the given handlers
// beside those of the sample.
func minimal(more func(app.Services) []router.Handler) app.Application {
	return app.Application{
		Name:    "shop",
		Domains: []events.Domain{sample.Register},
		Handlers: func(s app.Services) []router.Handler {
			handlers := sample.Handlers(nil)
			if more != nil {
				handlers = append(handlers, more(s)...)
			}
			return handlers
		},
	}
}

// start runs an application in process until the returned function is called.
func start(t *testing.T, a app.Application, o app.Options) (_ *app.App, stop func() error) {
	t.Helper()
	o.Dev = true
	running, err := app.New(a, settings.Source{Flags: map[string]string{"http_addr": "127.0.0.1:0", "dev_redis_addr": "127.0.0.1:0"}}, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- running.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(programtest.Patience):
			return errors.New("it does not end")
		}
	})
	t.Cleanup(func() { _ = stop() })
	return running, stop
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programtest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// TestNew_Faults is about what is wrong before anything is started.
func TestNew_Faults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change  func(*app.Application)
		options app.Options
		flags   map[string]string
		want    string
	}{
		"no handlers":            {change: func(a *app.Application) { a.Handlers = nil }, want: "has no handlers"},
		"no name":                {change: func(a *app.Application) { a.Name = "" }, want: `is named ""`},
		"wrong name":             {change: func(a *app.Application) { a.Name = "My Shop" }, want: `is named "My Shop"`},
		"a domain twice":         {change: func(a *app.Application) { a.Domains = append(a.Domains, sample.Register) }, want: "declared twice"},
		"undeclared setting":     {change: func(a *app.Application) { a.Handlers = asks("smtp_ur") }, want: `no setting named "smtp_ur" is declared`},
		"a setting of ours":      {change: func(a *app.Application) { a.Settings = []settings.Setting{{Name: "redis_url"}} }, want: `"redis_url" is declared twice`},
		"a setting of a cluster": {change: func(a *app.Application) { a.Settings = []settings.Setting{{Name: "port"}} }, want: "SHOP_PORT"},
		"a wrong default": {change: func(a *app.Application) {
			a.Settings = []settings.Setting{{Name: "n", Default: "x", Usage: "a number", Check: settings.Bool}}
		}, want: "the default of the setting n"},
		"a failed start":  {change: func(a *app.Application) { a.Handlers = fails }, want: "no database"},
		"unknown handler": {options: app.Options{Only: []string{"send-welcom"}}, want: `the nearest is "send-welcome"`},
		"unknown value":   {flags: map[string]string{"redis_ul": "x"}, want: `the nearest is "redis_url"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := minimal(nil)
			if tt.change != nil {
				tt.change(&a)
			}
			_, err := app.New(a, settings.Source{Flags: tt.flags}, tt.options)
			if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want CONFIG with %q", err, tt.want)
			}
		})
	}
}

func asks(setting string) func(app.Services) []router.Handler {
	return func(s app.Services) []router.Handler {
		s.Settings.String(setting)
		return sample.Handlers(nil)
	}
}

func fails(s app.Services) []router.Handler {
	s.Fail(events.Errorf(events.CodeConfig, "no database"))
	return sample.Handlers(nil)
}

// TestConnect_Faults has errors of drivers name the settings of the application.
func TestConnect_Faults(t *testing.T) {
	t.Parallel()
	d, err := app.Define(minimal(nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		values map[string]string
		code   string
		want   string
		field  string
	}{
		"a Redis that does not answer": {map[string]string{"redis_url": "redis://127.0.0.1:1"}, events.CodeUnavailable, "SHOP_REDIS_URL", "redis_url"},
		"a URL with an unknown option": {map[string]string{"redis_url": "redis://127.0.0.1:1/0?nope=1"}, events.CodeConfig, "REDIS_URL", "redis_url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := d.Connect(ctx, d.Settings.Defaults().With(tt.values), app.Connection{Server: true})
			var e *events.Error
			if !errors.As(err, &e) || e.Code != tt.code || !strings.Contains(e.Message+e.Hint, tt.want) {
				t.Fatalf("got %v", err)
			}
			if e.Field != tt.field {
				t.Errorf("the field is %q, want %q", e.Field, tt.field)
			}
		})
	}
}

// TestApp_Run looks at the end of a run: everything is closed, in order, and nothing
// left behind. It runs alone.
func TestApp_Run(t *testing.T) {
	before := goleak.IgnoreCurrent()
	var ended []string
	described := true
	a := minimal(func(s app.Services) []router.Handler {
		if described {
			described = false
			return nil
		}
		s.OnStop(func() error { ended = append(ended, "first"); return nil })
		s.OnStop(func() error { ended = append(ended, "second"); return errors.New("not closed") })
		return nil
	})
	running, stop := start(t, a, app.Options{})
	if _, err := running.Execute(within(t), sample.Create{Email: "a@example.com", Name: "A"}, events.SendOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err == nil || err.Error() != "not closed" {
		t.Errorf("the run ended with %v", err)
	}
	if !slices.Equal(ended, []string{"second", "first"}) {
		t.Errorf("ended in the order %v", ended)
	}
	if err := running.Run(t.Context()); events.CodeOf(err) != events.CodeInternal {
		t.Errorf("a second run ended with %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// TestApp_Execute_BeforeStart gives up when the service does not start.
func TestApp_Execute_BeforeStart(t *testing.T) {
	t.Parallel()
	a, err := app.New(minimal(nil), settings.Source{}, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Execute(ctx, sample.Create{}, events.SendOptions{}); events.CodeOf(err) != events.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

// TestApp_Execute_AfterFailedStart does not wait for a service that will never start.
func TestApp_Execute_AfterFailedStart(t *testing.T) {
	t.Parallel()
	a := minimal(nil)
	a.Routes = func(s app.Services) map[string]http.Handler {
		s.Fail(events.Errorf(events.CodeConfig, "nope"))
		return nil
	}
	running, stop := start(t, a, app.Options{})
	if _, err := running.Execute(within(t), sample.Create{}, events.SendOptions{}); events.CodeOf(err) != events.CodeShuttingDown {
		t.Errorf("got %v", err)
	}
	if err := stop(); events.CodeOf(err) != events.CodeConfig {
		t.Errorf("the run ended with %v", err)
	}
}

// TestApp_Run_OtherHandlers refuses handlers that were not described.
func TestApp_Run_OtherHandlers(t *testing.T) {
	t.Parallel()
	react := func(context.Context, router.Event[sample.Created]) error { return nil }
	calls := 0
	a := minimal(func(app.Services) []router.Handler {
		if calls++; calls == 1 {
			return nil
		}
		return []router.Handler{router.On("late", react)}
	})
	running, err := app.New(a, settings.Source{Flags: map[string]string{"http_addr": "127.0.0.1:0", "dev_redis_addr": "127.0.0.1:0"}}, app.Options{Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := running.Run(within(t)); events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "late (reaction)") {
		t.Errorf("the run ended with %v", err)
	}
}

// TestApp_Run_FaultyRoutes has a run end with what is wrong with the routes.
func TestApp_Run_FaultyRoutes(t *testing.T) {
	t.Parallel()
	for name, routes := range map[string]func(app.Services) map[string]http.Handler{
		"an undeclared setting": func(s app.Services) map[string]http.Handler { s.Settings.String("nope"); return nil },
		"a failed start": func(s app.Services) map[string]http.Handler {
			s.Fail(events.Errorf(events.CodeConfig, "nope"))
			return nil
		},
		"a taken pattern": func(app.Services) map[string]http.Handler {
			return map[string]http.Handler{"GET /livez": http.NotFoundHandler()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := minimal(nil)
			a.Routes = routes
			running, err := app.New(a, settings.Source{Flags: map[string]string{"http_addr": "127.0.0.1:0", "dev_redis_addr": "127.0.0.1:0"}}, app.Options{Dev: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := running.Run(within(t)); events.CodeOf(err) != events.CodeConfig {
				t.Errorf("the run ended with %v", err)
			}
		})
	}
}
