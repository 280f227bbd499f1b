package app

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/router"
)

// Definition is an application that was checked without its settings and brokers. Only a
// command line needs it; [New] makes it by itself.
type Definition struct {
	Application
	Catalogue *events.Catalogue
	// Handlers are described, and cannot be run: they have no services.
	Handlers []router.Handler
	// Settings are those of the framework and of the application.
	Settings *settings.Set
}

// Define checks an application. An error has the code CONFIG.
func Define(a Application) (*Definition, error) {
	if a.Handlers == nil || len(a.Domains) == 0 {
		return nil, events.Errorf(events.CodeConfig, "the application %q has no handlers or no domains", a.Name)
	}
	d := &Definition{Application: a, Catalogue: events.NewCatalogue()}
	for _, register := range a.Domains {
		if err := register(d.Catalogue); err != nil {
			return nil, err
		}
	}
	all := slices.Concat(frameworkSettings(a.Name), a.Settings)
	for _, s := range a.Dev {
		all = append(all, s.Settings...)
	}
	// Handlers are described with the defaults of the settings. Only then are the names
	// known that the settings file may hold.
	set, err := settings.NewSet(a.Name, nil, all...)
	if err != nil {
		return nil, err
	}
	unconnected := newStartupProxy()
	l := &lifetime{}
	if d.Handlers, err = d.handlers(d.services(unconnected, set.Defaults(), discard(), l)); err != nil {
		return nil, errors.Join(err, l.end())
	}
	if err := l.end(); err != nil {
		return nil, err
	}
	d.Settings, err = settings.NewSet(a.Name, d.HandlerNames(), all...)
	return d, err
}

// handlers returns the handlers of the application.
func (d *Definition) handlers(s Services) (handlers []router.Handler, err error) {
	err = d.withServices(s, func() { handlers = d.Application.Handlers(s) })
	return handlers, err
}

// checkDescribed returns an error if handlers are not those that were described: help,
// settings and routes would not fit them.
func (d *Definition) checkDescribed(handlers []router.Handler) error {
	names := func(all []router.Handler) []string {
		var out []string
		for _, h := range all {
			out = append(out, h.Name()+" ("+string(h.Kind())+")")
		}
		slices.Sort(out)
		return out
	}
	if described, got := names(d.Handlers), names(handlers); !slices.Equal(described, got) {
		return events.Errorf(events.CodeConfig, "Application.Handlers must return the same handlers each time: at first there were %s, and now there are %s",
			strings.Join(described, ", "), strings.Join(got, ", ")).WithHint("declare every handler, whatever the settings; one that is not to run can be paused")
	}
	return nil
}

// withServices calls a function of the application. It returns the error of
// [Services.Fail], or that a setting is not declared.
func (d *Definition) withServices(s Services, f func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *events.Error:
			err = p
		default:
			panic(p)
		}
	}()
	f()
	err = s.lifetime.failure()
	if d.Settings != nil {
		err = d.Settings.Explain(err, nil)
	}
	return err
}

// HandlerNames returns the names of all handlers, in their order.
func (d *Definition) HandlerNames() []string {
	var names []string
	for _, h := range d.Handlers {
		names = append(names, h.Name())
	}
	return names
}

// Describe returns all handlers with their effective settings.
func (d *Definition) Describe(v settings.Values) ([]router.HandlerInfo, error) {
	return router.Describe(d.Catalogue, d.Handlers, v.Handlers)
}

// Projections returns the names of all projections, in their order.
func (d *Definition) Projections() []string {
	var names []string
	for _, h := range d.Handlers {
		if h.Kind() == router.KindProjection {
			names = append(names, h.Name())
		}
	}
	return names
}

// Options say how an application is run. The zero value runs all handlers on the
// brokers that the settings name.
type Options struct {
	// Only names the handlers to run. Empty: all. Queues are declared for all handlers.
	Only []string
	// Dev runs the application with an in-process Redis and its [DevService]s. Nothing
	// is durable.
	Dev bool
	// Report is called in dev with what happens, in one word and the rest of a line. It
	// must be safe for concurrent use. Optional.
	Report func(what, text string)
	// Log is where the log goes. Nil: nowhere.
	Log io.Writer
}
