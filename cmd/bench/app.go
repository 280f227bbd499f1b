package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// application is Pitwheel on its drivers, assembled as the framework does.
type application struct {
	space     *space
	catalogue *events.Catalogue
	store     *redis.Store
	broker    *rabbitmq.Broker // nil on Redis Streams
	transport router.Transport
}

// openOn connects an application whose messages travel by the given broker. A
// partition count of 0 is the default.
func (s *space) openOn(ctx context.Context, carrier broker, queueType string, partitions int) (*application, error) {
	catalogue := sample.Catalogue()
	store, err := redis.Open(ctx, redis.Config{URL: s.redisURL, Namespace: s.name, Partitions: partitions, Logger: s.logger})
	if err != nil {
		return nil, err
	}
	s.later(func() { _ = store.Close() })
	a := &application{space: s, catalogue: catalogue, store: store, transport: store}
	if carrier == redisDB {
		return a, nil
	}
	a.broker, err = rabbitmq.Open(rabbitmq.Config{URL: s.amqpURL, Namespace: s.name, QueueType: queueType, Logger: s.logger})
	if err != nil {
		return nil, err
	}
	s.later(func() { _ = a.broker.Close() })
	s.exchange("user.events")
	s.exchange("user.commands")
	a.transport = a.broker
	return a, a.awaitBroker(ctx)
}

func (a *application) awaitBroker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := a.broker.Ready()
		if err == nil || events.CodeOf(err) == events.CodeConfig {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}

// declare declares the queues of reactions to the benchmark's event, so that they can
// be filled before anything consumes them.
func (a *application) declare(queues ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, q := range queues {
		a.own(q)
		sub, err := a.transport.Subscriber(router.Subscription{Handler: q, Topic: topic, Types: []string{userType}, Queue: q, Concurrency: 1})
		if err != nil {
			return err
		}
		err = sub.Declare(ctx)
		if err := errors.Join(err, sub.Close()); err != nil {
			return err
		}
	}
	return nil
}

// own registers a queue for removal at the end.
func (a *application) own(queues ...string) {
	for _, q := range queues {
		a.space.queue(q)
		a.space.queue(q + ".poison")
	}
}

// start runs handlers until the function it returns is called, which drains them.
// with may change the configuration.
func (a *application) start(ctx context.Context, list []router.Handler, with func(*router.Config)) (stop func() error, running <-chan struct{}, err error) {
	infos, err := router.Describe(a.catalogue, list, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, i := range infos {
		if i.Queue != "" && a.broker != nil {
			a.own(i.Queue)
		}
	}
	c := router.Config{
		Catalogue: a.catalogue, Handlers: list, Transport: a.transport,
		Log: a.store, Reader: a.store, Checkpoints: a.store, Projections: a.store, Inbox: a.store, Elector: a.store,
		Logger: a.space.logger,
	}
	if with != nil {
		with(&c)
	}
	return startRouter(ctx, c)
}

// startRouter runs a router until stop is called.
func startRouter(ctx context.Context, c router.Config) (stop func() error, running <-chan struct{}, err error) {
	r, err := router.New(c)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}, r.Running(), nil
}

// nothingElse prevents all background roles from running.
func (a *application) nothingElse(c *router.Config) { c.Elector = onlyRole{a.store, "none of them"} }

// onlyRole runs just one background role, so that a row measures that alone.
type onlyRole struct {
	router.Elector
	role string // the role, or how its name begins
}

// Lead runs the one role; the others wait for the end of ctx.
func (o onlyRole) Lead(ctx context.Context, role string, f func(context.Context) error) error {
	if strings.HasPrefix(role, o.role) {
		return o.Elector.Lead(ctx, role, f)
	}
	<-ctx.Done()
	return ctx.Err()
}
