package app_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/app"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/infra/settings"
)

// TestShop builds the applications in testdata/shop, a module of its own, runs its tests,
// and uses the programs as their team would: in one process, on Redis alone, and on
// RabbitMQ and Redis, where a second service shares the events.
func TestShop(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles another module: run without -short")
	}
	t.Parallel()
	dir, bin := filepath.Join(moduleRoot(t), "infra", "app", "testdata", "shop"), t.TempDir()
	goTool(t, dir, "vet", "./...")
	goTool(t, dir, "test", "./...")
	goTool(t, dir, "build", "-o", bin+string(filepath.Separator), ".", "./cmd/shipping")
	// What Kubernetes injects for a service named shop is not a setting.
	injected := []string{"SHOP_SERVICE_HOST=10.0.0.1", "SHOP_SERVICE_PORT=8080", "SHOP_PORT=tcp://10.0.0.1:8080", "SHOP_PORT_8080_TCP=tcp://10.0.0.1:8080"}
	built := program{path: filepath.Join(bin, "shop"), environ: injected}

	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		service, shop := built.dev(t)
		useShop(t, shop, service)
		service.Stdout.Await(t, `event +ORDER_CONFIRMED v2`)
		service.Stdout.Await(t, `row +orders-by-customer +c-17`)
		service.stop(t)
	})
	t.Run("Redis Streams", func(t *testing.T) {
		t.Parallel()
		shop := built.with("SHOP", brokertest.Redis(t), brokertest.Namespace(t))
		brokertest.CleanRedis(t, shop.env("SHOP_REDIS_URL"), shop.env("SHOP_NAMESPACE"))
		service := shop.serve(t)
		useShop(t, shop, service)
		service.stop(t)
	})
	t.Run("RabbitMQ and Redis", func(t *testing.T) {
		t.Parallel()
		amqp := brokertest.AMQP(t)
		shop := built.with("SHOP", brokertest.Redis(t), brokertest.Namespace(t), "SHOP_AMQP_URL="+amqp)
		namespace := shop.env("SHOP_NAMESPACE")
		brokertest.CleanRedis(t, shop.env("SHOP_REDIS_URL"), namespace)
		// The services share RabbitMQ and its exchanges, and nothing else.
		store, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		shipping := program{path: filepath.Join(bin, "shipping"), environ: append(injected, "SHIPPING_SERVICE_HOST=10.0.0.2")}.
			with("SHIPPING", store.URL(), namespace, "SHIPPING_AMQP_URL="+amqp)
		cleanExchanges(t, amqp, namespace, "order", "stock", "parcel")
		cleanQueues(t, amqp, shop, shipping)

		service, second := shop.serve(t), shipping.serve(t)
		order := useShop(t, shop, service)
		programtest.Eventually(t, "parcel", func() bool {
			return len(runJSON[[]json.RawMessage](t, shipping, "projection", "rows", "parcels")) > 0
		})
		if diff := cmp.Diff(`{"customer":"c-17"}`, strings.TrimSpace(shipping.run(t, "projection", "get", "parcels", order, "-o", "json"))); diff != "" {
			t.Errorf("the parcel (-want +got):\n%s", diff)
		}
		if got := typesOf(t, shipping, "event", "tail", "--no-follow"); !slices.Equal(got, []string{"PARCEL_PACKED"}) {
			t.Errorf("the log of shipping has %q", got)
		}
		second.stop(t)
		service.stop(t)
	})
}

// useShop uses a running shop by its command line and HTTP, and returns the id of an order
// that it has confirmed. The log is empty before.
func useShop(t *testing.T, shop program, service *process) (orderID string) {
	t.Helper()
	if code, body := service.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz says %d %s", code, body)
	}
	if got := handlerNames(t, shop); len(got) != 9 || got[0] != "place-order" || got[8] != "orders-by-customer" {
		t.Errorf("the handlers are %q", got)
	}
	if help := shop.run(t, "send", "PLACE_ORDER", "--help"); !strings.Contains(help, "the customer's number, such as c-17") {
		t.Errorf("the help is %s", help)
	}

	// An order that there is enough for: placed, reserved, confirmed.
	shop.run(t, "send", "RECEIVE_STOCK", "-f", "item=tea", "-f", "quantity=5", "--wait", "--timeout", "2m")
	place := []string{"send", "PLACE_ORDER", "-f", "customer=c-17", "-f", "item=tea", "-f", "quantity=2", "-f", "total=900", "--wait", "--timeout", "2m"}
	first := runJSON[events.Outcome](t, shop, append(place, "--id", "order-1")...)
	orderID = first.AggregateID
	if first.Status != events.StatusAccepted || first.Version != 1 {
		t.Fatalf("the outcome is %+v", first)
	}
	first.Repeated = true
	if diff := cmp.Diff(first, runJSON[events.Outcome](t, shop, append(place, "--id", "order-1")...)); diff != "" {
		t.Errorf("the same id has another outcome:\n%s", diff)
	}
	awaitRow(t, service, "c-17", `{"orders":1,"confirmed":1,"spent":900}`)
	if got := strings.TrimSpace(shop.run(t, "projection", "get", "orders-by-customer", "c-17", "-o", "json")); got != `{"orders":1,"confirmed":1,"spent":900}` {
		t.Errorf("the row is %s", got)
	}
	if got := typesOf(t, shop, "aggregate", "history", "order", orderID); !slices.Equal(got, []string{"ORDER_PLACED", "ORDER_CONFIRMED"}) {
		t.Errorf("the order's history is %q", got)
	}
	if _, errs := shop.exits(t, 6, append(place, "-f", "orderId="+orderID, "-o", "json")...); !strings.Contains(errs, `"code":"ORDER_EXISTS"`) {
		t.Errorf("the rejection is %s", errs)
	}

	// One that there is too little for, by HTTP: placed, short, cancelled.
	code, body := service.post(t, "/v1/commands/PLACE_ORDER?wait=60s", `{"customer":"c-18","item":"tea","quantity":9,"total":100}`)
	var second events.Outcome
	if err := json.Unmarshal([]byte(body), &second); err != nil || code != http.StatusOK || second.Status != events.StatusAccepted {
		t.Fatalf("HTTP answers %d %s %v", code, body, err)
	}
	programtest.Eventually(t, "cancelled order", func() bool {
		return slices.Equal(typesOf(t, shop, "aggregate", "history", "order", second.AggregateID), []string{"ORDER_PLACED", "ORDER_CANCELLED"})
	})
	awaitRow(t, service, "c-18", `{"orders":0,"confirmed":0,"spent":0}`)
	want := []string{"ORDER_CANCELLED", "ORDER_CONFIRMED", "ORDER_PLACED", "ORDER_PLACED", "STOCK_RECEIVED", "STOCK_RESERVED", "STOCK_SHORT"}
	got := typesOf(t, shop, "event", "tail", "--no-follow")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the log has %q, want %q", got, want)
	}
	if _, page := service.get(t, "/metrics"); !strings.Contains(page, `pitwheel_handler_messages_total{handler_name="reserve-on-order"`) {
		t.Error("/metrics has no messages of reserve-on-order")
	}

	usePoison(t, shop)

	if out := shop.run(t, "projection", "rebuild", "orders-by-customer", "--wait", "--timeout", "2m"); !strings.Contains(out, "rebuilt") {
		t.Errorf("the rebuild prints %s", out)
	}
	awaitRow(t, service, "c-17", `{"orders":1,"confirmed":1,"spent":900}`)
	return orderID
}

// usePoison has a handler fail to decode a message of a foreign service, and looks after
// the poison message.
func usePoison(t *testing.T, shop program) {
	t.Helper()
	shop.publish(t, "order.events", "ORDER_PLACED", `{"type":"ORDER_PLACED","data":{"orderId":"o-1","customer":"c-1","item":"tea","quantity":"many","total":900}}`)
	type message struct {
		ID, Handler, Code, Reason string
		Failures                  int
	}
	list := func() []message { return runJSON[[]message](t, shop, "poison", "list") }
	var found []message
	programtest.Eventually(t, "poison message", func() bool {
		found = list()
		return len(found) > 0
	})
	m := found[0]
	if len(found) != 1 || m.Handler != "reserve-on-order" || m.Code != events.CodeUndecodable || m.Failures != 1 {
		t.Fatalf("the poison messages are %+v", found)
	}
	if out := shop.run(t, "poison", "show", m.ID); !strings.Contains(out, `"quantity": "many"`) {
		t.Errorf("the poison message is shown as %s", out)
	}
	shop.run(t, "poison", "retry", m.ID)
	programtest.Eventually(t, "second failure", func() bool {
		found = list()
		return len(found) == 1 && found[0].Failures == 2 && found[0].ID == m.ID
	})
	shop.run(t, "poison", "discard", m.ID, "--reason", "the sender was broken")
	if found = list(); len(found) > 0 {
		t.Errorf("after discard there are %+v", found)
	}
	if out := shop.run(t, "poison", "audit"); !strings.Contains(out, "the sender was broken") {
		t.Errorf("the audit is %s", out)
	}
}

// awaitRow waits until HTTP answers with a row of orders-by-customer.
func awaitRow(t *testing.T, service *process, key, want string) {
	t.Helper()
	programtest.Eventually(t, "row "+want, func() bool {
		code, body := service.get(t, "/v1/projections/orders-by-customer/"+key)
		return code == http.StatusOK && strings.TrimSpace(body) == want
	})
}

// typesOf returns the types of the events that a command prints.
func typesOf(t *testing.T, p program, args ...string) []string {
	t.Helper()
	var names []string
	for _, e := range runJSON[[]struct{ Type string }](t, p, args...) {
		names = append(names, e.Type)
	}
	return names
}

func handlerNames(t *testing.T, p program) []string {
	t.Helper()
	var names []string
	for _, h := range runJSON[[]struct{ Name string }](t, p, "handler", "list") {
		names = append(names, h.Name)
	}
	return names
}

// with returns the program with settings for serve.
func (p program) with(prefix, redisURL, namespace string, more ...string) program {
	p.environ = slices.Concat(p.environ, more, []string{
		prefix + "_REDIS_URL=" + redisURL, prefix + "_NAMESPACE=" + namespace, prefix + "_HTTP_ADDR=127.0.0.1:0", prefix + "_LOG_FORMAT=json",
	})
	return p
}

// env returns a variable of the program's environment.
func (p program) env(name string) string {
	for _, kv := range p.environ {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

// publish puts a message on a topic of the running service, as another service would.
func (p program) publish(t *testing.T, topic, eventType, body string) {
	t.Helper()
	d, err := app.Define(sampleApplication(filepath.Base(p.path)))
	if err != nil {
		t.Fatal(err)
	}
	v, err := d.Settings.Load(settings.Source{Environ: p.environ})
	if err != nil {
		t.Fatal(err)
	}
	drivers, err := d.Connect(within(t), v, app.Connection{Transport: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = drivers.Close() }()
	m := message.NewMessage(events.NewID(), []byte(body))
	m.Metadata.Set(events.MetaType, eventType)
	if err := drivers.Transport.Publisher().Publish(topic, m); err != nil {
		t.Fatal(err)
	}
}

// cleanExchanges removes the exchanges of aggregates when the test ends.
func cleanExchanges(t *testing.T, amqp, namespace string, aggregates ...string) {
	t.Helper()
	var names []string
	for _, a := range aggregates {
		names = append(names, namespace+"."+events.EventTopic(a), namespace+"."+events.CommandTopic(a))
	}
	brokertest.CleanAMQP(t, amqp, nil, names)
}

// cleanQueues removes the queues of all handlers when the test ends.
func cleanQueues(t *testing.T, amqp string, programs ...program) {
	t.Helper()
	var queues []string
	for _, p := range programs {
		namespace := p.env(strings.ToUpper(filepath.Base(p.path)) + "_NAMESPACE")
		for _, name := range handlerNames(t, p) {
			queues = append(queues, namespace+"."+name)
		}
	}
	brokertest.CleanAMQP(t, amqp, queues, nil)
}
