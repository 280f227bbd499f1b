package app

import (
	"cmp"
	"errors"
	"fmt"
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
	if err := a.check(); err != nil {
		return nil, err
	}
	d := &Definition{Application: a, Catalogue: events.NewCatalogue()}
	for i, register := range a.Domains {
		if err := guard(fmt.Sprintf("the application %q: the function Domains[%d]", a.Name, i), func() error { return register(d.Catalogue) }); err != nil {
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
	if len(d.Handlers) == 0 {
		return nil, events.Errorf(events.CodeConfig, "the application %q: its function Handlers returns no handlers", a.Name).
			WithHint("declare every handler, whatever the settings; one that is not to run can be paused")
	}
	d.Settings, err = settings.NewSet(a.Name, d.HandlerNames(), all...)
	return d, err
}

// check returns what is missing or nil in an application.
func (a *Application) check() error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, events.Errorf(events.CodeConfig, "the application %q "+format, append([]any{a.Name}, args...)...))
	}
	if a.Handlers == nil {
		wrong("has no handlers; set Handlers")
	}
	if len(a.Domains) == 0 {
		wrong("has no domains; set Domains")
	}
	for i, register := range a.Domains {
		if register == nil {
			wrong("has a nil function: Domains[%d]", i)
		}
	}
	for i, m := range a.Middleware {
		if m == nil {
			wrong("has a nil function: Middleware[%d]", i)
		}
	}
	for i, s := range a.Dev {
		if s.Start == nil {
			wrong("has a service for dev without a function: Dev[%d].Start (%q)", i, s.Name)
		}
	}
	if a.Samples.First != nil && isNil(a.Samples.First) {
		wrong("has a nil pointer for its first sample: Samples.First is a %T", a.Samples.First)
	}
	return errors.Join(errs...)
}

// checkSamples returns an error if the generator of samples does not give commands.
func (d *Definition) checkSamples() error {
	if d.Samples.Generator == nil {
		return nil
	}
	what := fmt.Sprintf("the application %q: Samples.Generator", d.Name)
	return guard(what, func() error {
		next := d.Samples.Generator()
		if next == nil {
			return events.Errorf(events.CodeConfig, "%s returned nil; it must return a function that returns one command after another", what)
		}
		if isNil(next()) {
			return events.Errorf(events.CodeConfig, "%s returned a function that returned nil; it must return a command", what)
		}
		return nil
	})
}

// handlers returns the handlers of the application.
func (d *Definition) handlers(s Services) (handlers []router.Handler, err error) {
	err = d.withServices("Handlers", s, func() { handlers = d.Application.Handlers(s) })
	return handlers, err
}

// checkDescribed returns an error if handlers are not those that were described: help,
// settings and routes would not fit them, nor would the queues.
func (d *Definition) checkDescribed(described []router.HandlerInfo, handlers []router.Handler, v settings.Values) error {
	now, err := router.Describe(d.Catalogue, handlers, v.Handlers)
	if len(handlers) > 0 && err != nil {
		return err
	}
	list := func(infos []router.HandlerInfo) []string {
		var out []string
		for _, i := range infos {
			text := i.Name + " (" + string(i.Kind) + ") of " + strings.Join(i.Consumes, " and ")
			if i.Queue != "" && i.Queue != i.Name {
				text += " on the queue " + i.Queue
			}
			out = append(out, text)
		}
		slices.Sort(out)
		return out
	}
	before, after := list(described), list(now)
	if slices.Equal(before, after) {
		return nil
	}
	return events.Errorf(events.CodeConfig, "Application.Handlers must return the same handlers each time; at first it returned %s; now it returned %s",
		cmp.Or(strings.Join(before, ", "), "none"), cmp.Or(strings.Join(after, ", "), "none")).
		WithHint("declare every handler, whatever the settings; one that is not to run can be paused")
}

// withServices calls a function of the application, whose name is given. It returns the
// error of [Services.Fail], that a setting is not declared, or that the function panicked.
func (d *Definition) withServices(name string, s Services, f func()) error {
	err := guard(fmt.Sprintf("the application %q: the function %s", d.Name, name), func() error {
		f()
		return s.lifetime.failure()
	})
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

// Check returns what would stop [App.Run] whatever the brokers are: what is wrong with the
// settings of handlers, and what the application's function Handlers refuses. It connects to
// nothing. An error of the settings has the code CONFIG.
func (d *Definition) Check(v settings.Values) error {
	described, err := d.Describe(v)
	if err != nil {
		return err
	}
	l := &lifetime{}
	handlers, err := d.handlers(d.services(newStartupProxy(), v, discard(), l))
	if err == nil {
		err = d.checkDescribed(described, handlers, v)
	}
	if ended := l.end(); ended != nil {
		err = errors.Join(err, ended)
	}
	return err
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
	// Dev runs the application with an in-process Redis and its [DevService]s. It uses
	// other brokers only if flags name them: redis_url and amqp_url of the environment and of
	// the file may be those of production, and are ignored.
	Dev bool
	// Data is a directory that keeps the data of the in-process Redis from one run to the
	// next. Empty: nothing is kept.
	Data string
	// Fail names handlers of commands and events of which, in dev, every attempt fails
	// until a message has become a poison message and is retried.
	Fail []string
	// Report is called in dev with what happens, in one word and the rest of a line. It
	// must be safe for concurrent use. Optional.
	Report func(what, text string)
	// CommandLine returns how to call the program with some arguments, so that it reaches
	// this run; it is for what is reported. Nil: the name of the application and the
	// arguments.
	CommandLine func(args string) string
	// Log is where the log goes. Nil: nowhere.
	Log io.Writer
}
