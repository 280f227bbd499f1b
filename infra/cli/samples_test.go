package cli

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// TestDev_Samples sends samples that cannot be sent.
func TestDev_Samples(t *testing.T) {
	t.Parallel()
	a := testApplication()
	withMail := a.Handlers
	a.Handlers = func(s app.Services) []router.Handler { // Nobody decides DEACTIVATE_USER.
		all := withMail(s)
		return append(all[:2:2], all[3:]...)
	}
	a.Samples = app.Samples{First: sample.Create{Name: "Ada"}, Generator: func() func() events.Command {
		n := 0
		return func() events.Command {
			n++
			return []events.Command{
				nil,
				sample.Deactivate{UserID: "u", Reason: "r"},
				sample.Deactivate{UserID: "u", Reason: "r"},
				sample.Create{UserID: events.NewID(), Email: "ada@example.com"},
				sample.Create{UserID: events.NewID(), Email: "ada@example.com", Name: "Ada"},
			}[n%5]
		}
	}}
	dev := startAppDev(t, a, "--rate", "100/s")
	dev.out.Await(t, `(?s)(row +user-directory.*){3}`) // By then each error has come more than once.
	if code := dev.end(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
	said := dev.errs.String()
	for _, want := range []string{
		`the sample command CREATE_USER cannot be sent: .*email.*\n +hint: correct Samples.First of`,
		`the sample command DEACTIVATE_USER cannot be sent: .*DEACTIVATE_USER.*\n +hint: declare a handler .*router.Decide.*Samples.Generator`,
		`the sample command cannot be sent: it is nil\n +hint: correct Samples.Generator of`,
		`the sample command CREATE_USER cannot be sent: .*name.*\n +hint: correct Samples.Generator of`,
	} {
		if n := len(regexp.MustCompile(want).FindAllString(said, -1)); n != 1 {
			t.Errorf("%d times %q in\n%s", n, want, said)
		}
	}
}

// archive, closing and opening are commands of a folder; the first one by name is decided by
// no handler.
type archive struct{ ID string }

func (archive) CommandType() string   { return "ARCHIVE" }
func (c archive) AggregateID() string { return c.ID }

type closing struct{ ID string }

func (closing) CommandType() string   { return "CLOSE" }
func (c closing) AggregateID() string { return c.ID }

type opening struct {
	ID    string `json:"id,omitempty"`
	Title string `json:"title"`
}

func (opening) CommandType() string                        { return "OPEN" }
func (c opening) AggregateID() string                      { return c.ID }
func (c opening) WithAggregateID(id string) events.Command { c.ID = id; return c }

type opened struct{ ID string }

func (opened) EventType() string { return "OPENED" }

type folder struct{}

func (f folder) Apply(events.Data) folder { return f }

// TestTrySend suggests a command that is handled and, if there is one, creates.
func TestTrySend(t *testing.T) {
	t.Parallel()
	decideClose := router.Decide("close", func(context.Context, closing, folder) ([]events.Data, error) { return nil, nil })
	decideOpen := router.Decide("open", func(context.Context, opening, folder) ([]events.Data, error) { return nil, nil })
	for _, tt := range []struct {
		name     string
		handlers []router.Handler
		want     string
	}{
		{"one that creates", []router.Handler{decideClose, decideOpen}, "send OPEN -f title=… --wait"},
		{"none that creates", []router.Handler{decideClose}, "send CLOSE -f ID=… --wait"},
		{"none", []router.Handler{router.On("note", func(context.Context, router.Event[opened]) error { return nil })}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := app.Define(app.Application{
				Name: "files", Handlers: func(app.Services) []router.Handler { return tt.handlers },
				Domains: []events.Domain{func(c *events.Catalogue) error {
					return c.Aggregate("folder", events.StateOf[folder](), events.CommandOf[archive](), events.CommandOf[closing](), events.CommandOf[opening](), events.EventOf[opened]())
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := (&cli{Definition: d}).trySend(); got != tt.want {
				t.Errorf("it suggests %q, want %q", got, tt.want)
			}
		})
	}
}

// TestHelp_OwnDefaults has dev and serve show the defaults that they have.
func TestHelp_OwnDefaults(t *testing.T) {
	t.Parallel()
	for command, wants := range map[string][]string{
		"dev":   {`--log-level .*\(default "warn"\)`, `--log-format .*\(default "text"\)`, `--drain-timeout .*\(default "3s"\)`},
		"serve": {`--log-level .*\(default "info"\)`, `--drain-timeout .*\(default "25s"\)`},
	} {
		help := pitwheel(t, nil, command, "--help").ok(t).stdout
		for _, want := range wants {
			if !regexp.MustCompile(want).MatchString(help) {
				t.Errorf("%s --help has no %q:\n%s", command, want, help)
			}
		}
	}
}

func TestTrySend_Sample(t *testing.T) {
	t.Parallel()
	d, err := app.Define(testApplication())
	if err != nil {
		t.Fatal(err)
	}
	if got := (&cli{Definition: d}).trySend(); !strings.HasPrefix(got, "send CREATE_USER -f email=grace.hopper@example.com") {
		t.Errorf("it suggests %q", got)
	}
}
