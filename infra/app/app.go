package app

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/httpapi"
	"github.com/pitwheel/pitwheel/infra/settings"
	"github.com/pitwheel/pitwheel/infra/telemetry"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// App is an application that can be run. Make it with [New]. It is safe for concurrent
// use.
type App struct {
	def      *Definition
	values   settings.Values
	options  Options
	infos    []router.HandlerInfo
	logger   *slog.Logger
	registry *prometheus.Registry
	metrics  *router.Metrics
	proxy    *startupProxy
	lifetime *lifetime
	started  atomic.Bool
	running  chan struct{} // closed once every handler is consuming
	ended    chan struct{} // closed when the run has ended

	mu   sync.Mutex
	addr string
	dev  devInstances
}

// New checks an application and its settings, and prepares to run it. Nothing is
// connected and nothing started. An error has the code CONFIG.
func New(a Application, from settings.Source, o Options) (*App, error) {
	d, err := Define(a)
	if err != nil {
		return nil, err
	}
	v, err := d.Settings.Load(from)
	if err != nil {
		return nil, err
	}
	return d.New(v, o)
}

// New is like the function [New], with settings that are loaded already.
func (d *Definition) New(v settings.Values, o Options) (*App, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Report == nil || !o.Dev {
		o.Report = func(string, string) {}
	}
	if o.CommandLine == nil {
		o.CommandLine = func(args string) string { return d.Name + " " + args }
	}
	for _, name := range o.Only {
		if names := d.HandlerNames(); !slices.Contains(names, name) {
			return nil, events.Errorf(events.CodeConfig, "no handler is named %q%s", name, settings.DidYouMean(name, names)).WithField("only").
				WithHint("the handlers are %s", strings.Join(names, ", "))
		}
	}
	brokers := []string{"redis"}
	if o.Dev {
		v = devDefaults(v)
		if err := d.checkDev(v, o); err != nil {
			return nil, err
		}
	}
	if v.String("amqp_url") != "" {
		brokers = append(brokers, "rabbitmq")
	}
	a := &App{def: d, values: v, options: o, proxy: newStartupProxy(brokers...), lifetime: &lifetime{}, running: make(chan struct{}), ended: make(chan struct{})}
	a.logger = telemetry.NewLogger(o.Log, telemetry.IsTerminal(o.Log), v.String("log_level"), v.String("log_format"))
	if !o.Dev { // On one's own screen there is only one application.
		a.logger = a.logger.With("application", d.Name)
	}
	a.logger = telemetry.WithHint(a.logger, poison.LogKey, func(id string) string { return d.Name + " poison show " + id })
	var err error
	if a.infos, err = d.Describe(v); err != nil {
		return nil, err
	}
	build := telemetry.ThisBuild()
	a.registry = telemetry.NewRegistry(d.Name, build.Version, build.Commit)
	a.metrics, err = router.NewMetrics(a.registry)
	return a, err
}

// Run serves until ctx ends, then drains: it receives no more messages, and waits for
// running handlers up to the setting drain_timeout. It returns nil after a
// clean drain, and a second after drain_timeout at the latest, whatever does not end; the
// error then has the code TIMEOUT. HTTP is served from the beginning, so that /readyz can
// report what is waited for, to the end of the drain. An application runs once.
func (a *App) Run(ctx context.Context) (err error) {
	if a.started.Swap(true) {
		return events.Errorf(events.CodeInternal, "the application %s has been run already", a.def.Name)
	}
	stopped := stopwatch(ctx)
	defer func() { a.logStopped(stopped, err) }()
	return a.bounded(ctx, a.run)
}

func (a *App) run(ctx context.Context) (err error) {
	defer close(a.ended)
	routes := map[string]http.Handler{}
	if a.options.Dev {
		stop, startErr := a.startDev(routes)
		defer func() { err = errors.Join(err, stop()) }()
		if startErr != nil {
			return startErr
		}
	}
	defer func() { err = errors.Join(err, a.lifetime.end()) }()
	listener, err := httpapi.Listen(a.values.String("http_addr"))
	if err != nil {
		return a.def.Settings.Explain(err, map[string]string{"Addr": "http_addr"})
	}
	a.mu.Lock()
	a.addr = listener.Addr().String()
	a.mu.Unlock()
	a.logStart(ctx)
	if a.def.Routes != nil {
		if err := a.def.withServices("Routes", a.services(), func() { maps.Copy(routes, a.def.Routes(a.services())) }); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	api, err := httpapi.New(httpapi.Config{
		Application: a.def.Name, Version: telemetry.ThisBuild().Version, Example: a.def.Samples.First,
		Catalogue: a.def.Catalogue, Commands: a.proxy, Projections: a.proxy, Names: a.def.Projections(),
		Ready: a.proxy.Ready, Warnings: a.proxy.Warnings, Stopping: ctx.Done(), Paused: a.paused(), Metrics: promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{}),
		Extra: routes, MaxBody: int64(a.values.Int("max_message_bytes")), Logger: a.logger,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	group, ctx := errgroup.WithContext(ctx)
	web := newWebStop(ctx, a.drainTimeout())
	defer web.endPatience()
	group.Go(func() error {
		defer close(web.ended)
		return httpapi.Serve(web.serving, web.patience, listener, api)
	})
	group.Go(func() error {
		a.logWaiting(ctx)
		return nil
	})
	group.Go(func() error {
		defer web.stop()
		return a.runHandlers(ctx, web.stop)
	})
	return group.Wait()
}

// runHandlers connects to the brokers and runs the handlers on them. It calls stopWeb when
// these have ended, and the brokers, which requests need, are still connected.
func (a *App) runHandlers(ctx context.Context, stopWeb func()) (err error) {
	drivers, err := a.def.Connect(ctx, a.values, Connection{
		Server: true, Transport: true, Logger: a.logger, Registry: a.registry, OnConnecting: a.proxy.setBroker,
		Adopt: a.embedded(), // Nobody else uses it, and no command can reach it before it runs.
	})
	if err != nil && ctx.Err() != nil {
		return nil // The wait was ended by a stop, which is not a failure.
	}
	if err != nil {
		return err
	}
	defer func() {
		stopWeb()
		err = errors.Join(err, drivers.Close())
	}()
	store, transport := drivers.Store, drivers.Transport
	commands, err := a.def.NewCommands(drivers, a.values, a.metrics)
	if err != nil {
		return err
	}
	// What handlers do with their services works from now on.
	a.proxy.setConnected(commands, store)
	handlers, err := a.def.handlers(a.services())
	if err != nil {
		return err
	}
	if err := a.def.checkDescribed(a.infos, handlers, a.values); err != nil {
		return err
	}
	log, projections, poisonStore := router.Log(store), router.ProjectionStore(store), router.PoisonStore(store)
	middleware := a.def.Middleware
	if a.options.Dev {
		log, projections = reportingLog{log, a.options.Report}, reportingProjections{projections, a.options.Report}
		poisonStore = reportingPoison{poisonStore, a.options}
		middleware = append(slices.Clip(middleware), failing(a.options.Fail))
	}
	recorded, err := a.recorded(ctx, store)
	if err != nil && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	witness := a.witness(ctx, drivers)
	if witness != nil {
		store.Guard(witness)
	}
	r, err := router.New(router.Config{
		Application: a.def.Name, Topology: store, Recorded: recorded,
		Catalogue: a.def.Catalogue, Handlers: handlers, Overrides: failingSoon(a.options.Fail, a.values.Handlers), HandlerNames: a.options.Only,
		Transport: transport, Log: log, Reader: store, Checkpoints: store, Projections: projections, Inbox: store, Ledger: store, Audit: store, Marker: drivers.marker(), Parking: store, Elector: store, Poison: poisonStore,
		Logger: a.logger, WatermillLogger: telemetry.WatermillLogger(a.logger), Metrics: a.metrics,
		DrainTimeout: a.drainTimeout(), MaxBytes: a.values.Int("max_message_bytes"),
		Middleware: middleware, Witness: witness,
	})
	if err != nil {
		return err
	}
	a.proxy.setRouter(r)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var announcing sync.WaitGroup
	var refused error
	announcing.Go(func() {
		if refused = a.keepRecord(ctx, drivers); refused != nil {
			stop()
		}
	})
	announce := func(reached <-chan struct{}, f func()) {
		announcing.Go(func() {
			select {
			case <-reached:
				f()
			case <-ctx.Done():
			}
		})
	}
	announce(r.Declared(), func() { close(a.proxy.declared) })
	announce(r.Running(), func() {
		a.logger.InfoContext(ctx, "every handler is consuming", "http", a.Addr())
		close(a.running)
	})
	err = r.Run(ctx)
	stop() // Run may have ended by itself.
	announcing.Wait()
	return errors.Join(refused, err)
}

// drainTimeout returns the setting; of 0 s, the router would make its default.
func (a *App) drainTimeout() time.Duration {
	return cmp.Or(a.values.Duration("drain_timeout"), time.Nanosecond)
}

// Running returns a channel that is closed when every handler consumes for the first
// time.
func (a *App) Running() <-chan struct{} { return a.running }

// Addr returns the address where HTTP is served; "" before Run listens.
func (a *App) Addr() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addr
}

// Send sends a command, once the queues of all handlers are declared. See [Commands].
func (a *App) Send(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Receipt, error) {
	if err := a.awaitDeclared(ctx); err != nil {
		return events.Receipt{}, err
	}
	return a.proxy.Send(ctx, cmd, o)
}

// Execute returns the outcome of a command, once the queues of all handlers are declared.
// See [Commands].
func (a *App) Execute(ctx context.Context, cmd events.Command, o events.SendOptions) (events.Outcome, error) {
	if err := a.awaitDeclared(ctx); err != nil {
		return events.Outcome{}, err
	}
	return a.proxy.Execute(ctx, cmd, o)
}

func (a *App) awaitDeclared(ctx context.Context) error {
	select {
	case <-a.proxy.declared:
		return nil
	case <-a.ended:
		return events.Errorf(events.CodeShuttingDown, "the application %s has ended before its queues were declared", a.def.Name)
	case <-ctx.Done():
		return events.Errorf(events.CodeUnavailable, "the service did not start in time: %w", ctx.Err()).MayRetry()
	}
}

// services returns what this run gives to handlers and routes.
func (a *App) services() Services {
	return a.def.services(a.proxy, a.values, a.logger, a.lifetime)
}

// services returns what handlers get that work with the given proxy.
func (d *Definition) services(p *startupProxy, v settings.Values, logger *slog.Logger, l *lifetime) Services {
	return Services{Commands: p, Projections: p, Settings: v, Logger: logger, Now: time.Now, lifetime: l}
}

// logStart logs what is about to run, and what is missing for production.
func (a *App) logStart(ctx context.Context) {
	if a.options.Dev {
		return
	}
	a.logger.InfoContext(ctx, "starting", "redis", telemetry.RedactURL(RedisURL(a.values)), "amqp", telemetry.RedactURL(a.values.String("amqp_url")),
		"namespace", a.values.String("namespace"), "http", a.Addr(), "only", a.options.Only, "version", telemetry.ThisBuild().Version)
	if a.values.String("redis_url") == "" {
		a.logger.WarnContext(ctx, a.def.Settings.Env("redis_url")+" is not set: the Redis of a local "+a.def.Name+" dev is used, which keeps nothing", "addr", a.values.String("dev_redis_addr"))
	}
	if a.values.String("amqp_url") == "" {
		a.logger.InfoContext(ctx, a.def.Settings.Env("amqp_url")+" is not set: commands and reactions travel over Redis Streams")
	}
}

// paused returns the handlers that run here and are not to consume.
func (a *App) paused() []string {
	var names []string
	for _, i := range a.infos {
		for _, setting := range i.Settings {
			if setting.Name == "paused" && setting.Value == "true" && (len(a.options.Only) == 0 || slices.Contains(a.options.Only, i.Name)) {
				names = append(names, i.Name)
			}
		}
	}
	return names
}
