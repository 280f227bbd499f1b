package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/events/users"
	"github.com/pitwheel/pitwheel/handlers"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbit"
	"github.com/pitwheel/pitwheel/infra/redisdb"
	"github.com/pitwheel/pitwheel/router"
)

// rig runs a handler of the test's own on real brokers.
type rig struct {
	t         *testing.T
	environ   []string
	namespace string
	store     *redisdb.Store
	transport router.Transport
	handler   router.Handler
}

// onBoth runs a test over RabbitMQ and over Redis Streams. The handler has the name
// and the queue h.
func onBoth(t *testing.T, f func(t *testing.T, r *rig), handler func() router.Handler) {
	t.Helper()
	open := func(t *testing.T) *rig {
		t.Helper()
		url, ns := brokertest.Redis(t), brokertest.Namespace(t)
		brokertest.CleanRedis(t, url, ns)
		store, err := redisdb.Open(t.Context(), redisdb.Config{URL: url, Namespace: ns})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return &rig{t: t, namespace: ns, store: store, transport: redisTransport{store}, handler: handler(),
			environ: []string{"PITWHEEL_REDIS_URL=" + url, "PITWHEEL_NAMESPACE=" + ns}}
	}
	t.Run("Redis Streams", func(t *testing.T) {
		t.Parallel()
		r := open(t)
		f(t, r)
		left, err := r.store.Client().ZCard(t.Context(), r.namespace+":delayed:{"+r.namespace+":h}").Result()
		if err != nil || left > 0 {
			t.Errorf("%d messages are delayed still, %v", left, err)
		}
	})
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		url := brokertest.AMQP(t)
		r := open(t)
		r.environ = append(r.environ, "PITWHEEL_AMQP_URL="+url)
		queues := []string{r.namespace + ".h"}
		for _, rung := range []string{"1s", "2s"} {
			queues = append(queues, r.namespace+".h.retry."+rung)
		}
		brokertest.CleanAMQP(t, url, queues, []string{r.namespace + ".user.events"})
		broker, err := rabbit.Open(rabbit.Config{URL: url, Namespace: r.namespace})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = broker.Close() })
		r.transport = rabbitTransport{broker}
		f(t, r)
		b := &brokers{amqpURL: url, namespace: r.namespace}
		for _, queue := range []string{"h.retry.2s", "h", "h.poison"} {
			eventually(t, "an empty queue "+queue, func() bool { return b.depth(t, queue) == 0 })
		}
	})
}

// run runs the handler until the returned function is called.
func (r *rig) run() (stop func()) {
	r.t.Helper()
	catalogue, err := handlers.Catalogue()
	if err != nil {
		r.t.Fatal(err)
	}
	rt, err := router.New(router.Config{
		Catalogue: catalogue, Handlers: []router.Handler{r.handler}, Transport: r.transport, Log: r.store, Reader: r.store,
		Checkpoints: r.store, Views: r.store, Elector: r.store, Inbox: r.store, Parking: r.store, Letters: r.store,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- rt.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("the drain: %v", err)
		}
	})
	r.t.Cleanup(stop)
	select {
	case <-rt.Running():
	case <-time.After(10 * time.Second):
		r.t.Fatalf("the handler is not running after 10 s: %v", rt.Ready())
	}
	return stop
}

// publish puts events on the bus whose names say what they are.
func (r *rig) publish(userID string, names ...string) {
	r.t.Helper()
	for _, name := range names {
		id := events.NewID()
		m := message.NewMessage(id, fmt.Appendf(nil, `{"id":%q,"type":"USER_CREATED","timestamp":"2026-11-24T10:00:00.000Z","data":{"userId":%q,"email":"a@example.com","name":%q}}`, id, userID, name))
		m.Metadata.Set(events.MetaType, "USER_CREATED")
		m.Metadata.Set(events.MetaAggregateID, userID)
		if err := r.transport.Publisher().Publish("user.events", m); err != nil {
			r.t.Fatal(err)
		}
	}
}

// letters returns all letters once there are n.
func (r *rig) letters(n int) []events.Letter {
	r.t.Helper()
	var out []events.Letter
	eventually(r.t, fmt.Sprintf("%d letters", n), func() bool {
		out = out[:0]
		for l, err := range r.store.Letters(r.t.Context(), events.LetterFilter{}, redisdb.OldestFirst) {
			if err != nil {
				r.t.Fatal(err)
			}
			out = append(out, l)
		}
		return len(out) == n
	})
	return out
}

// TestDelayedAttemptsAcrossARestart ends the service while a message waits for its
// next attempt: the next one goes on counting, and is not early.
func TestDelayedAttemptsAcrossARestart(t *testing.T) {
	t.Parallel()
	const pause = 1100 * time.Millisecond
	attempts := make(map[string]chan time.Time)
	var mu sync.Mutex
	of := func(name string) chan time.Time {
		mu.Lock()
		defer mu.Unlock()
		if attempts[name] == nil {
			attempts[name] = make(chan time.Time, 10)
		}
		return attempts[name]
	}
	onBoth(t, func(t *testing.T, r *rig) {
		user := events.NewID()
		next := func() time.Time {
			t.Helper()
			select {
			case at := <-of(user):
				return at
			case <-time.After(20 * time.Second):
				t.Fatal("no attempt")
				return time.Time{}
			}
		}
		stop := r.run()
		r.publish(user, "Ada")
		last := next()
		for range 2 {
			stop()
			stop = r.run()
			at := next()
			if between := at.Sub(last); between < pause {
				t.Errorf("an attempt came after %s, want at least %s", between, pause)
			}
			last = at
		}
		l := r.letters(1)[0]
		if l.Attempts != 3 || l.LastFailedAt.Sub(l.FirstFailedAt) < 2*pause {
			t.Errorf("the letter has %d attempts from %s to %s, want 3", l.Attempts, l.FirstFailedAt, l.LastFailedAt)
		}
		if n := len(of(user)); n > 0 {
			t.Errorf("%d attempts too many", n)
		}
	}, func() router.Handler {
		return router.On("h", func(_ context.Context, e router.Event[users.Created]) error {
			of(e.Data.UserID) <- time.Now()
			return events.RetryAfter(pause, errors.New("not yet"))
		}, router.Policy{Attempts: 3})
	})
}

// TestOrderThroughFailures has a key wait behind a message that is delayed and then
// poisoned, and mends it with the command line.
func TestOrderThroughFailures(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	failures, handled := map[string][]error{}, map[string][]string{}
	is := func(user string) string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(handled[user], " ")
	}
	fail := func(user, name string, with ...error) {
		mu.Lock()
		defer mu.Unlock()
		failures[user+name] = with
	}
	onBoth(t, func(t *testing.T, r *rig) {
		ada, bob := events.NewID(), events.NewID()
		never := events.Permanent(errors.New("never"))
		fail(ada, "2", events.RetryAfter(1100*time.Millisecond, errors.New("later")), never)
		fail(ada, "5", never)
		becomes := func(user, want string) {
			t.Helper()
			eventually(t, "the events "+want, func() bool { return is(user) == want })
		}
		parked := func(want int) {
			t.Helper()
			eventually(t, fmt.Sprintf("%d parked messages", want), func() bool {
				_, n, err := r.store.CountParked(t.Context(), "h")
				return err == nil && n == want
			})
		}
		stop := r.run()
		r.publish(ada, "1", "2", "3")
		r.publish(bob, "1", "2", "3")
		becomes(bob, "1 2 3")
		l := r.letters(1)[0]
		r.publish(ada, "4")
		parked(2)
		stop() // What is parked outlives the process.
		r.run()
		r.publish(bob, "4")
		becomes(bob, "1 2 3 4")
		if got := is(ada); got != "1" {
			t.Errorf("behind the letter ada's events were handled as %s", got)
		}
		pitwheel(t, r.environ, "poison", "retry", l.ID).ok(t)
		becomes(ada, "1 2 3 4")
		r.publish(ada, "5", "6", "7")
		l = r.letters(1)[0]
		parked(2)
		pitwheel(t, r.environ, "poison", "discard", l.ID, "--reason", "a test").ok(t)
		becomes(ada, "1 2 3 4 6 7")
		r.publish(ada, "8")
		becomes(ada, "1 2 3 4 6 7 8")
		if keys, messages, err := r.store.CountParked(t.Context(), "h"); keys != 0 || messages != 0 || err != nil {
			t.Errorf("%d keys wait still, with %d messages, %v", keys, messages, err)
		}
	}, func() router.Handler {
		return router.On("h", func(_ context.Context, e router.Event[users.Created]) error {
			mu.Lock()
			defer mu.Unlock()
			user, name := e.Data.UserID, e.Data.Name
			if left := failures[user+name]; len(left) > 0 {
				failures[user+name] = left[1:]
				return left[0]
			}
			handled[user] = append(handled[user], name)
			return nil
		}, router.Policy{Ordered: true, Attempts: 4})
	})
}
