package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/backoff"
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
func (s *space) openOn(ctx context.Context, carrier broker, queueType string, partitions int) *application {
	store := get(redis.Open(ctx, redis.Config{URL: s.redisURL, Namespace: s.name, Partitions: partitions, Logger: s.logger}))
	s.later(func() { _ = store.Close() })
	a := &application{space: s, catalogue: sample.Catalogue(), store: store, transport: store}
	if carrier == redisDB {
		return a
	}
	a.broker = get(rabbitmq.Open(rabbitmq.Config{URL: s.amqpURL, Namespace: s.name, QueueType: queueType, Logger: s.logger}))
	s.later(func() { _ = a.broker.Close() })
	s.exchange("user.events")
	s.exchange("user.commands")
	a.transport = a.broker
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := a.broker.Ready()
		if err == nil {
			return a
		}
		if events.CodeOf(err) == events.CodeConfig || !backoff.Wait(ctx, 5*time.Millisecond) {
			check(err)
		}
	}
}

// fill declares the queues of reactions to the benchmark's event, and publishes messages,
// so that all of the queues hold them.
func (a *application) fill(ctx context.Context, msgs []*message.Message, queues ...string) {
	declaring, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, q := range queues {
		a.space.ownQueue(q)
		sub := get(a.transport.Subscriber(router.Subscription{Handler: q, Topic: topic, Types: []string{userType}, Queue: q, Concurrency: 1}))
		check(errors.Join(sub.Declare(declaring), sub.Close()))
	}
	if a.broker != nil {
		a.space.publishRaw(ctx, a.space.exchange(topic), userType, publishings(msgs))
	} else {
		publishAll(a.transport.Publisher(), topic, msgs, 1, publishBatch)
	}
}

// Values for the role of config. Other roles are "relay", and those that start with "projection".
const (
	everyRole = ""
	noRole    = "none of them"
)

// config configures a router with handlers, and those background roles whose names start
// with role.
func (a *application) config(role string, handlers ...router.Handler) router.Config {
	if a.broker != nil {
		a.space.ownQueues(a.catalogue, handlers)
	}
	return router.Config{
		Catalogue: a.catalogue, Handlers: handlers, Transport: a.transport,
		Log: a.store, Reader: a.store, Checkpoints: a.store, Projections: a.store, Inbox: a.store, Elector: onlyRole{a.store, role},
		Logger: a.space.logger,
	}
}

// whileRunning runs a router while it measures, and then drains it.
func whileRunning[T any](ctx context.Context, c router.Config, measure func(context.Context) T) T {
	return withRouter(ctx, c, func(ctx context.Context, _ *router.Router) T { return measure(ctx) })
}

// withRouter is whileRunning for what uses the router.
func withRouter[T any](ctx context.Context, c router.Config, measure func(context.Context, *router.Router) T) (v T) {
	r := get(router.New(c))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- r.Run(ctx)
		close(ended)
	}()
	var err error
	select {
	case <-r.Running():
		err = catch(func() { v = measure(ctx, r) })
	case err = <-ended:
	}
	cancel()
	check(errors.Join(err, <-ended))
	return v
}

// onlyRole runs just some background roles, so that a row measures those alone.
type onlyRole struct {
	router.Elector
	role string // how the names of the roles start
}

// Lead runs the roles; the others wait for the end of ctx.
func (o onlyRole) Lead(ctx context.Context, role string, f func(context.Context) error) error {
	if strings.HasPrefix(role, o.role) {
		return o.Elector.Lead(ctx, role, f)
	}
	<-ctx.Done()
	return ctx.Err()
}
