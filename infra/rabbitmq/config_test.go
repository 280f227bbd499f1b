package rabbitmq_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
)

func TestOpen_WrongConfig(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg   rabbitmq.Config
		field string
	}{
		"no URL":     {rabbitmq.Config{}, "URL"},
		"scheme":     {rabbitmq.Config{URL: "http://user:geheim@host/"}, "URL"},
		"URL":        {rabbitmq.Config{URL: "amqp://user:geheim%zz@host/"}, "URL"},
		"port":       {rabbitmq.Config{URL: "amqp://user:geheim@host:99999999999/"}, "URL"},
		"queue type": {rabbitmq.Config{URL: "amqp://host", QueueType: "stream"}, "QueueType"},
		"limit":      {rabbitmq.Config{URL: "amqp://host", DeliveryLimit: -1}, "DeliveryLimit"},
		"heartbeat":  {rabbitmq.Config{URL: "amqp://host", Heartbeat: time.Millisecond}, "Heartbeat"},
	} {
		_, err := rabbitmq.Open(tt.cfg)
		var e *events.Error
		if !errors.As(err, &e) || e.Code != events.CodeConfig || e.Field != tt.field {
			t.Errorf("%s: %v, want the code CONFIG and the field %s", name, err, tt.field)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: the error contains the password: %v", name, err)
		}
	}
}

func TestBroker_Ready_WrongPassword(t *testing.T) {
	t.Parallel()
	b, err := rabbitmq.Open(rabbitmq.Config{URL: brokertest.WithPassword(t, brokertest.AMQP(t), "geheim")})
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
