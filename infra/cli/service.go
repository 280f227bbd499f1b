package cli

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/handlers"
	"github.com/pitwheel/pitwheel/infra/httpapi"
	"github.com/pitwheel/pitwheel/infra/mail"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/telemetry"
	"github.com/pitwheel/pitwheel/router"
)

// service is the application on its drivers, for dev and serve alike.
type service struct {
	settings  *settings
	catalogue *events.Catalogue
	infos     []router.HandlerInfo
	only      []string
	logger    *slog.Logger
	registry  *prometheus.Registry
	metrics   *router.Metrics
	listener  net.Listener
	gate      *gate
	// pages are further HTTP pages, and activity is shown what happens; both optional.
	pages    map[string]http.Handler
	activity *activity

	// commands may be used once running is closed.
	commands *router.Commands
	running  chan struct{}
}

// newService checks all that can be checked without a broker.
func (c *cli) newService(s *settings, only []string) (*service, error) {
	infos, err := c.infos()
	if err != nil {
		return nil, err
	}
	svc := &service{settings: s, catalogue: c.catalogue, infos: infos, only: only, gate: newGate(s), running: make(chan struct{})}
	svc.logger = telemetry.NewLogger(c.stderr, isTerminal(c.stderr), s.LogLevel, s.LogFormat)
	svc.registry = telemetry.NewRegistry(thisBuild().Version, thisBuild().Commit)
	if svc.metrics, err = router.NewMetrics(svc.registry); err != nil {
		return nil, err
	}
	svc.listener, err = httpapi.Listen(s.HTTPAddr)
	return svc, err
}

// address is where HTTP is served.
func (s *service) address() string { return s.listener.Addr().String() }

// run serves until ctx ends and then drains. HTTP is there from the start, so
// that /readyz can say what is waited for.
func (s *service) run(ctx context.Context) error {
	api, err := httpapi.New(httpapi.Config{
		Catalogue: s.catalogue, Commands: s.gate, Views: s.gate, Projections: s.projections(),
		Ready: s.gate.Ready, Paused: s.paused(), Metrics: promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}), Extra: s.pages, MaxBody: int64(s.settings.MaxBytes), Logger: s.logger,
	})
	if err != nil {
		return errors.Join(err, s.listener.Close())
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return httpapi.Serve(ctx, s.listener, api) })
	group.Go(func() error { return s.handle(ctx) })
	return group.Wait()
}

// handle connects to the brokers and runs the handlers on them.
func (s *service) handle(ctx context.Context) (err error) {
	store, err := redis.Open(ctx, redis.Config{
		URL: s.settings.redisURL(), Namespace: s.settings.Namespace, Partitions: s.settings.Partitions, Durability: s.settings.Durability,
		Logger: s.logger, OnState: telemetry.BrokerState(s.registry, "redis"), OnBlocked: telemetry.BrokerBlocked(s.registry, "redis"),
	})
	if ctx.Err() != nil && err != nil {
		return nil // The wait was ended by a signal, which is no failure.
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	s.gate.arrived("redis", store.Ready)

	transport := router.Transport(store)
	if s.settings.AMQPURL != "" {
		broker, err := rabbitmq.Open(rabbitmq.Config{
			URL: s.settings.AMQPURL, Namespace: s.settings.Namespace, QueueType: s.settings.QueueType,
			Logger: s.logger, OnState: telemetry.BrokerState(s.registry, "rabbitmq"), OnBlocked: telemetry.BrokerBlocked(s.registry, "rabbitmq"),
		})
		if err != nil {
			return err
		}
		defer func() { _ = broker.Close() }() // Its subscribers were drained by the router.
		s.gate.arrived("rabbitmq", broker.Ready)
		if err := awaitBroker(ctx, broker); err != nil && ctx.Err() == nil {
			return err
		}
		transport = broker
	}
	return s.turn(ctx, store, transport)
}

// turn runs the router on what is connected.
func (s *service) turn(ctx context.Context, store *redis.Store, transport router.Transport) error {
	sender, err := mail.Open(mail.Config{URL: s.settings.SMTPURL, From: s.settings.MailFrom, Logger: s.logger})
	if err != nil {
		return err
	}
	defer func() { _ = sender.Close() }()
	log, views, mailer := router.Log(store), router.ProjectionStore(store), handlers.Mailer(sender)
	if s.activity != nil {
		log, views, mailer = watchedLog{log, s.activity}, watchedViews{views, s.activity}, watchedMail{mailer, s.activity}
	}
	r, err := router.New(router.Config{
		Catalogue: s.catalogue, Handlers: handlers.All(handlers.Deps{Mailer: mailer}), Overrides: s.settings.Handlers, HandlerNames: s.only,
		Transport: transport, Log: log, Reader: store, Checkpoints: store, Projections: views, Inbox: store, Parking: store, Elector: store, Poison: store,
		Logger: s.logger, WatermillLogger: telemetry.WatermillLogger(s.logger), Metrics: s.metrics, DrainTimeout: s.settings.DrainTimeout, MaxBytes: s.settings.MaxBytes,
	})
	if err != nil {
		return err
	}
	s.commands, err = router.NewCommands(router.CommandsConfig{Catalogue: s.catalogue, Publisher: transport.Publisher(), Log: store, MaxBytes: s.settings.MaxBytes, Metrics: s.metrics})
	if err != nil {
		return err
	}
	s.gate.open(s.commands, store, r.Ready)
	announced := make(chan struct{})
	go func() {
		defer close(announced)
		select {
		case <-r.Running():
			s.logger.InfoContext(ctx, "every handler is consuming", "http", s.address())
			close(s.running)
		case <-ctx.Done():
		}
	}()
	err = r.Run(ctx)
	<-announced
	return err
}

// paused are the handlers that run here, and are not to consume.
func (s *service) paused() []string {
	var names []string
	for _, i := range s.infos {
		for _, setting := range i.Settings {
			if setting.Name == "paused" && setting.Value == "true" && (len(s.only) == 0 || slices.Contains(s.only, i.Name)) {
				names = append(names, i.Name)
			}
		}
	}
	return names
}

// projections are the names that HTTP may be asked for.
func (s *service) projections() []string {
	var names []string
	for _, i := range s.infos {
		if i.Kind == router.KindProjection {
			names = append(names, i.Name)
		}
	}
	return names
}
