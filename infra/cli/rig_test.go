package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

// rig runs a handler of the test's own on real brokers.
type rig struct {
	t         *testing.T
	environ   []string
	namespace string
	store     *redis.Store
	transport router.Transport
	handler   router.Handler
	registry  *prometheus.Registry // of the latest run
	losses    atomic.Int64         // how often RabbitMQ was lost
}

// onBoth runs a test over RabbitMQ and over Redis Streams. The handler has the name
// and the queue h. Without one the test sets its own.
func onBoth(t *testing.T, f func(t *testing.T, r *rig), handler func() router.Handler) {
	t.Helper()
	open := func(t *testing.T) *rig {
		t.Helper()
		url, ns := brokertest.Redis(t), brokertest.Namespace(t)
		brokertest.CleanRedis(t, url, ns)
		store, err := redis.Open(t.Context(), redis.Config{URL: url, Namespace: ns})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		r := &rig{t: t, namespace: ns, store: store, transport: store,
			environ: []string{"PITWHEEL_REDIS_URL=" + url, "PITWHEEL_NAMESPACE=" + ns}}
		if handler != nil {
			r.handler = handler()
		}
		return r
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
		for _, tier := range []string{"1s", "2s"} {
			queues = append(queues, r.namespace+".h.retry."+tier)
		}
		brokertest.CleanAMQP(t, url, queues, []string{r.namespace + ".user.events"})
		broker, err := rabbitmq.Open(rabbitmq.Config{URL: url, Namespace: r.namespace, OnState: func(connected bool) {
			if !connected {
				r.losses.Add(1)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = broker.Close() })
		r.transport = broker
		f(t, r)
		b := &brokers{amqpURL: url, namespace: r.namespace}
		for _, queue := range []string{"h.retry.2s", "h", "h.poison"} {
			programtest.Eventually(t, "an empty queue "+queue, func() bool {
				q, err := b.channel(t).QueueDeclarePassive(b.named(queue), true, false, false, false, nil)
				var missing *amqp.Error // A delay tier is declared when it is first needed.
				return err == nil && q.Messages == 0 || errors.As(err, &missing) && missing.Code == amqp.NotFound
			})
		}
	})
}

// run runs the handler until the returned function is called.
func (r *rig) run() (stop func()) {
	r.t.Helper()
	r.registry = prometheus.NewRegistry()
	metrics, err := router.NewMetrics(r.registry)
	if err != nil {
		r.t.Fatal(err)
	}
	recorded, err := r.store.DeclaredHandlers(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	rt, err := router.New(router.Config{
		Catalogue: sample.Catalogue(), Handlers: []router.Handler{r.handler}, Transport: r.transport, Log: r.store, Reader: r.store,
		Checkpoints: r.store, Projections: r.store, Elector: r.store, Inbox: r.store, Parking: r.store, Poison: r.store, Metrics: metrics,
		Application: "rig", Topology: r.store, Recorded: recorded,
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
	case <-time.After(programtest.Patience):
		r.t.Fatalf("the handler is not running after %s: %v", programtest.Patience, rt.Ready())
	}
	return stop
}

// page is what /metrics would show.
func (r *rig) page() string {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// created is an event on the bus whose name says what it is.
func created(userID, name string) *message.Message {
	id := events.NewID()
	m := message.NewMessage(id, fmt.Appendf(nil, `{"id":%q,"type":"USER_CREATED","timestamp":"2026-11-24T10:00:00.000Z","data":{"userId":%q,"email":"a@example.com","name":%q}}`, id, userID, name))
	m.Metadata.Set(events.MetaType, "USER_CREATED")
	m.Metadata.Set(events.MetaAggregateID, userID)
	return m
}

// publish puts events of one user on the bus, one after the other.
func (r *rig) publish(userID string, names ...string) {
	r.t.Helper()
	for _, name := range names {
		r.publishAll(created(userID, name))
	}
}

// publishAll puts events on the bus, all at once.
func (r *rig) publishAll(msgs ...*message.Message) {
	r.t.Helper()
	if err := r.transport.Publisher().Publish("user.events", msgs...); err != nil {
		r.t.Fatal(err)
	}
}

// poisoned returns all poison messages once there are n.
func (r *rig) poisoned(n int) []poison.Message {
	r.t.Helper()
	var out []poison.Message
	programtest.Eventually(r.t, fmt.Sprintf("%d poison messages", n), func() bool {
		out = out[:0]
		for l, err := range r.store.PoisonMessages(r.t.Context(), poison.Filter{}, poison.OldestFirst) {
			if err != nil {
				r.t.Fatal(err)
			}
			out = append(out, l)
		}
		return len(out) == n
	})
	return out
}
