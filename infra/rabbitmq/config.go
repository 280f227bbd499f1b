package rabbitmq

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
)

// The types of queues.
const (
	Quorum  = "quorum"
	Classic = "classic"
)

// Config says how to reach a broker. Only URL is needed.
type Config struct {
	// URL is amqp:// or amqps://. It is never logged.
	URL string
	// Namespace is the prefix of every exchange and queue: "ns" makes ns.user.events.
	Namespace string
	// Logger hears of connections made and lost. Nil: nobody does.
	Logger *slog.Logger
	// AppID is the app_id of messages that bring none. Empty: "pitwheel".
	AppID string
	// QueueType is [Quorum] or [Classic]. Empty: [Quorum].
	QueueType string
	// DeliveryLimit is how often a quorum queue delivers a message again before it
	// moves it to the poison queue. The broker counts everything that comes back, also
	// what was sent ahead to a process that stopped before any handler saw it; so the
	// limit is far above what many stops and cut connections add up to, and ends only
	// the circle of a message that the process dies of each time. 0: 1,000. Classic
	// queues have none.
	DeliveryLimit int
	// OnState is called whenever both connections stand, or one of them is lost. It
	// must not block.
	OnState func(connected bool)
	// OnBlocked is called whenever the broker begins or ends to refuse what is
	// published, as when it is short of memory or disk. It must not block.
	OnBlocked func(blocked bool)
	// Heartbeat is how often both sides show that they live; a connection that was
	// silent for three times as long is given up. 0: 5 s. At least 1 s.
	Heartbeat time.Duration
	// MinBackoff and MaxBackoff bound the pause between attempts to connect, which
	// doubles from one to the other, with jitter. 0: 100 ms and 5 s.
	MinBackoff, MaxBackoff time.Duration
	// PublishTimeout bounds a Publish whose messages' contexts have no deadline.
	// 0: 30 s.
	PublishTimeout time.Duration
	// MaxUnconfirmed is how many messages may be sent and not yet confirmed. 0: 1024.
	MaxUnconfirmed int
}

func (c Config) withDefaults() (Config, error) {
	if c.URL == "" {
		return c, events.Errorf(events.CodeConfig, "there is no RabbitMQ URL: set PITWHEEL_AMQP_URL to amqp://user:password@host:5672/vhost")
	}
	if _, err := amqp.ParseURI(c.URL); err != nil {
		// The error's text may hold the password.
		return c, events.Errorf(events.CodeConfig, "the RabbitMQ URL (PITWHEEL_AMQP_URL) cannot be read: it must look like amqp://user:password@host:5672/vhost, with characters such as @ : / ? # in the password percent-encoded")
	}
	if c.QueueType == "" {
		c.QueueType = Quorum
	}
	if c.QueueType != Quorum && c.QueueType != Classic {
		return c, events.Errorf(events.CodeConfig, "RabbitMQ queue type %q is unknown: use %s or %s", c.QueueType, Quorum, Classic)
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"DeliveryLimit", int64(c.DeliveryLimit)}, {"Heartbeat", int64(c.Heartbeat)}, {"MinBackoff", int64(c.MinBackoff)},
		{"MaxBackoff", int64(c.MaxBackoff)}, {"PublishTimeout", int64(c.PublishTimeout)}, {"MaxUnconfirmed", int64(c.MaxUnconfirmed)},
	} {
		if n.value < 0 {
			return c, events.Errorf(events.CodeConfig, "RabbitMQ setting %s is negative: %d", n.name, n.value)
		}
	}
	if c.Heartbeat != 0 && c.Heartbeat < time.Second {
		return c, events.Errorf(events.CodeConfig, "RabbitMQ setting Heartbeat is %v: it must be at least 1s", c.Heartbeat)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnState == nil {
		c.OnState = func(bool) {}
	}
	if c.OnBlocked == nil {
		c.OnBlocked = func(bool) {}
	}
	setDefault(&c.AppID, "pitwheel")
	setDefault(&c.DeliveryLimit, 1000)
	setDefault(&c.Heartbeat, 5*time.Second)
	setDefault(&c.MinBackoff, 100*time.Millisecond)
	setDefault(&c.MaxBackoff, 5*time.Second)
	c.MaxBackoff = max(c.MaxBackoff, c.MinBackoff)
	setDefault(&c.PublishTimeout, 30*time.Second)
	setDefault(&c.MaxUnconfirmed, 1024)
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// address is where the broker is, without user and password.
func (c Config) address() string {
	u, err := amqp.ParseURI(c.URL)
	if err != nil {
		return "an unreadable URL"
	}
	return net.JoinHostPort(u.Host, strconv.Itoa(u.Port)) + "/" + strings.TrimPrefix(u.Vhost, "/")
}

// qualify puts the namespace before the name of an exchange or queue.
func (c Config) qualify(name string) string {
	if c.Namespace == "" {
		return name
	}
	return c.Namespace + "." + name
}

// within adds the default timeout to a context without a deadline.
func (c Config) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.PublishTimeout)
}
