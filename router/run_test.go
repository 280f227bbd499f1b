package router_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
)

// oddTransport has one queue, odd, that is declared by a function.
type oddTransport struct {
	router.Transport
	declare func(context.Context) error
}

func (o oddTransport) Subscriber(s router.Subscription) (router.Subscriber, error) {
	sub, err := o.Transport.Subscriber(s)
	if err == nil && s.Queue == "odd" {
		return oddSubscriber{sub, o.declare}, nil
	}
	return sub, err
}

type oddSubscriber struct {
	router.Subscriber
	declare func(context.Context) error
}

func (o oddSubscriber) Declare(ctx context.Context) error { return o.declare(ctx) }

// A queue that exists with other arguments affects its own handler alone.
func TestRouter_Run_QueueThatCannotBeDeclared(t *testing.T) {
	t.Parallel()
	kit := routertest.StartWith(t, func(c *router.Config) {
		c.Transport = oddTransport{c.Transport, func(context.Context) error {
			return events.Errorf(events.CodeConfig, "the queue odd has other arguments")
		}}
	}, catalogue(t), router.On("odd", react), router.On("h", react))
	kit.Record(created(ada))
	if n := len(kit.Handled("h")); n != 1 {
		t.Errorf("the other handler has handled %d events", n)
	}
}

// A queue that cannot be declared is named by readiness though its handler runs elsewhere,
// until it is mended; then it is declared, and nobody has to restart anything.
func TestRouter_Run_DeclaresARefusedQueueOnceItIsMended(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	inner := &routertest.Transport{}
	store := &routertest.Store{}
	refused := events.Errorf(events.CodeConfig, "the queue odd has other arguments")
	var declare func(context.Context) error
	r, err := router.New(router.Config{
		Catalogue: catalogue(t), Handlers: []router.Handler{router.On("odd", react), router.On("h", react)}, HandlerNames: []string{"h"},
		Transport: oddTransport{inner, func(ctx context.Context) error {
			if !mended.Load() {
				return refused
			}
			return declare(ctx)
		}},
		Log: store, Reader: store, Checkpoints: store, Projections: store, Elector: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	real, err := inner.Subscriber(router.Subscription{Queue: "odd"})
	if err != nil {
		t.Fatal(err)
	}
	declare = real.Declare
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	<-r.Declared() // The other handlers need not wait.
	if err := r.Ready()["odd"]; !errors.Is(err, refused) {
		t.Errorf("readiness says %v about the queue", err)
	}
	select {
	case <-r.Running():
		t.Error("everything is running although a queue is not declared")
	default:
	}
	mended.Store(true)
	<-r.Running()
	if has, err := inner.HasQueue(t.Context(), "odd"); !has || err != nil {
		t.Errorf("the queue is declared: %t, %v", has, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// unreadyTransport has subscribers that never consume.
type unreadyTransport struct{ router.Transport }

func (u unreadyTransport) Subscriber(s router.Subscription) (router.Subscriber, error) {
	sub, err := u.Transport.Subscriber(s)
	return unreadySubscriber{sub}, err
}

type unreadySubscriber struct{ router.Subscriber }

func (unreadySubscriber) Ready() error { return errors.New("not consuming") }

// A command finds its queue although a handler does not consume.
func TestRouter_Declared(t *testing.T) {
	t.Parallel()
	store := &routertest.Store{}
	r, err := router.New(router.Config{
		Catalogue: catalogue(t), Handlers: []router.Handler{router.On("h", react)}, Transport: unreadyTransport{&routertest.Transport{}},
		Log: store, Reader: store, Checkpoints: store, Projections: store, Elector: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	<-r.Declared()
	select {
	case <-r.Running():
		t.Error("the router is running although its handler does not consume")
	default:
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// countingTransport counts the subscribers that were closed, and has one that cannot
// subscribe.
type countingTransport struct {
	router.Transport
	closed *atomic.Int32
}

func (c countingTransport) Subscriber(s router.Subscription) (router.Subscriber, error) {
	sub, err := c.Transport.Subscriber(s)
	return countingSubscriber{sub, s.Queue, c.closed}, err
}

type countingSubscriber struct {
	router.Subscriber
	queue  string
	closed *atomic.Int32
}

func (c countingSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if c.queue == "odd" {
		return nil, errBad
	}
	return c.Subscriber.Subscribe(ctx, topic)
}

func (c countingSubscriber) Close() error {
	c.closed.Add(1)
	return c.Subscriber.Close()
}

// A start that fails leaves no subscription behind, whose acknowledgements would be cut off
// when the connections are closed.
func TestRouter_Run_FailedStart(t *testing.T) {
	t.Parallel()
	var closed atomic.Int32
	store := &routertest.Store{}
	r, err := router.New(router.Config{
		Catalogue: catalogue(t), Handlers: []router.Handler{router.On("h", react), router.On("odd", react)},
		Transport: countingTransport{&routertest.Transport{}, &closed},
		Log:       store, Reader: store, Checkpoints: store, Projections: store, Elector: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); !errors.Is(err, errBad) {
		t.Errorf("the run ended with %v", err)
	}
	if n := closed.Load(); n != 2 {
		t.Errorf("%d subscribers were closed, want both", n)
	}
}

// A stop does not wait for a broker that cannot be reached.
func TestRouter_Run_StopWhileAQueueIsBeingDeclared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, declaring := &routertest.Store{}, make(chan struct{})
		r, err := router.New(router.Config{
			Catalogue: catalogue(t), Handlers: []router.Handler{router.On("odd", react)},
			Transport: oddTransport{&routertest.Transport{}, func(ctx context.Context) error {
				close(declaring)
				<-ctx.Done()
				return ctx.Err()
			}},
			Log: store, Reader: store, Checkpoints: store, Projections: store, Elector: store,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		<-declaring
		began := time.Now()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("with nothing running the stop took %s", took)
		}
	})
}
