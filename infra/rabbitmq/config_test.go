package rabbitmq_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
)

func TestOpen_WrongConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]rabbitmq.Config{
		"no URL":     {},
		"scheme":     {URL: "http://user:geheim@host/"},
		"URL":        {URL: "amqp://user:geheim%zz@host/"},
		"port":       {URL: "amqp://user:geheim@host:99999999999/"},
		"queue type": {URL: "amqp://host", QueueType: "stream"},
		"limit":      {URL: "amqp://host", DeliveryLimit: -1},
		"heartbeat":  {URL: "amqp://host", Heartbeat: time.Millisecond},
	} {
		_, err := rabbitmq.Open(cfg)
		if err == nil || events.CodeOf(err) != events.CodeConfig {
			t.Errorf("%s: %v, want the code CONFIG", name, err)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: the error contains the password: %v", name, err)
		}
	}
}

func TestBroker_Ready_WrongPassword(t *testing.T) {
	t.Parallel()
	uri, err := amqp.ParseURI(brokertest.AMQP(t))
	if err != nil {
		t.Fatal(err)
	}
	uri.Password = "geheim"
	b, err := rabbitmq.Open(rabbitmq.Config{URL: uri.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	eventually(t, "Ready reports a wrong setting", func() bool { return events.CodeOf(b.Ready()) == events.CodeConfig })
	if strings.Contains(b.Ready().Error(), "geheim") {
		t.Errorf("the error contains the password: %v", b.Ready())
	}
}

func TestBroker_OnState(t *testing.T) {
	t.Parallel()
	var connected, changes atomic.Int32
	b := newBench(t, func(c *rabbitmq.Config) {
		c.OnState = func(now bool) {
			changes.Add(1)
			if now {
				connected.Store(1)
			} else {
				connected.Store(0)
			}
		}
	})
	eventually(t, "connected", func() bool { return connected.Load() == 1 && b.broker.Ready() == nil })
	b.proxy.Down()
	eventually(t, "disconnected", func() bool { return connected.Load() == 0 && b.broker.Ready() != nil })
	b.proxy.Up()
	eventually(t, "connected again", func() bool { return connected.Load() == 1 && b.broker.Ready() == nil })
	if got := changes.Load(); got != 3 {
		t.Errorf("OnState was called %d times, want 3", got)
	}
}
