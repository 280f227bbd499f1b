package router_test

import (
	"context"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/routertest"
)

// oddTransport has one queue that is declared in a way of its own.
type oddTransport struct {
	router.Transport
	declare func(closed <-chan struct{}) error
}

func (o oddTransport) Subscriber(s router.Subscription) (router.Subscriber, error) {
	sub, err := o.Transport.Subscriber(s)
	if err == nil && s.Queue == "odd" {
		return oddSubscriber{sub, o.declare, make(chan struct{})}, nil
	}
	return sub, err
}

type oddSubscriber struct {
	router.Subscriber
	declare func(closed <-chan struct{}) error
	closed  chan struct{}
}

func (o oddSubscriber) SubscribeInitialize(string) error { return o.declare(o.closed) }

func (o oddSubscriber) Close() error {
	close(o.closed)
	return o.Subscriber.Close()
}

// A queue that stands with other arguments than wanted is its handler's trouble.
func TestAQueueThatCannotBeDeclaredHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	kit := routertest.StartWith(t, func(c *router.Config) {
		c.Transport = oddTransport{c.Transport, func(<-chan struct{}) error {
			return events.Errorf(events.CodeConfig, "the queue odd has other arguments")
		}}
	}, catalogue(t), router.On("odd", react), router.On("h", react))
	kit.Record(created(ada))
	if n := len(kit.Handled("h")); n != 1 {
		t.Errorf("the other handler has handled %d events", n)
	}
}

// A broker that is away when the process stops is not waited for.
func TestAStopWhileAQueueIsBeingDeclared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, declaring := &routertest.Store{}, make(chan struct{})
		r, err := router.New(router.Config{
			Catalogue: catalogue(t), Handlers: []router.Handler{router.On("odd", react)},
			Transport: oddTransport{&routertest.Transport{}, func(closed <-chan struct{}) error {
				close(declaring)
				<-closed
				return events.Errorf(events.CodeShuttingDown, "closed")
			}},
			Log: store, Reader: store, Checkpoints: store, Views: store, Elector: store,
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
			t.Errorf("with nothing in hand the stop took %s", took)
		}
	})
}
