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

// Values of [Config].QueueType.
const (
	Quorum  = "quorum"
	Classic = "classic"
)

// Config configures a [Broker]. Only URL is required.
type Config struct {
	// URL is amqp:// or amqps://. It may contain a password and is never logged.
	URL string
	// Namespace is the prefix of every exchange and queue: "ns" makes ns.user.events.
	// Empty: none.
	Namespace string
	// Logger logs connections made and lost. Nil: nothing is logged.
	Logger *slog.Logger
	// AppID is the app_id of messages whose metadata has none. Empty: "pitwheel".
	AppID string
	// QueueType is [Quorum] or [Classic]. Empty: [Quorum].
	QueueType string
	// DeliveryLimit is how often a quorum queue delivers a message again before it
	// moves it to the poison queue. The broker counts every message that is returned,
	// including those prefetched by a process that stopped before a handler saw them. So
	// the limit is far above what restarts and lost connections add up to, and stops only
	// a message that crashes the process each time. 0: 1,000. Classic queues have none.
	DeliveryLimit int
	// OnState is called with true when both connections are open, and with false when
	// one of them is lost. It must not block.
	OnState func(connected bool)
	// OnBlocked is called when the broker blocks publishers, as it does when it is short
	// of memory or disk, and when it unblocks them. It must not block.
	OnBlocked func(blocked bool)
	// Heartbeat is the interval of AMQP heartbeats; a connection without traffic for
	// three intervals is closed. 0: 5 s. At least 1 s.
	Heartbeat time.Duration
	// MinBackoff and MaxBackoff bound the pause between attempts to connect, which
	// doubles from one to the other, with jitter (see package backoff). 0: 100 ms and 5 s.
	MinBackoff, MaxBackoff time.Duration
	// PublishTimeout bounds a Publish, Delay or HasQueue whose context has no deadline.
	// 0: 30 s.
	PublishTimeout time.Duration
	// DeclareEvery is how often what the subscriptions need is declared again, in case
	// somebody has deleted it. 0: 30 s.
	DeclareEvery time.Duration
	// MaxUnconfirmed is how many messages may be sent and not yet confirmed. 0: 1024.
	MaxUnconfirmed int
}

func (c Config) withDefaults() (Config, error) {
	if c.URL == "" {
		return c, events.Errorf(events.CodeConfig, "the RabbitMQ URL is missing: it looks like amqp://user:password@host:5672/vhost").WithField("URL")
	}
	if _, err := amqp.ParseURI(c.URL); err != nil {
		// The error's text may contain the password.
		return c, events.Errorf(events.CodeConfig, "the RabbitMQ URL is not valid: it must look like amqp://user:password@host:5672/vhost, with characters such as @ : / ? # in the password percent-encoded").WithField("URL")
	}
	if c.QueueType == "" {
		c.QueueType = Quorum
	}
	if c.QueueType != Quorum && c.QueueType != Classic {
		return c, events.Errorf(events.CodeConfig, "the RabbitMQ queue type %q is unknown: use %s or %s", c.QueueType, Quorum, Classic).WithField("QueueType")
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"DeliveryLimit", int64(c.DeliveryLimit)}, {"Heartbeat", int64(c.Heartbeat)}, {"MinBackoff", int64(c.MinBackoff)},
		{"MaxBackoff", int64(c.MaxBackoff)}, {"PublishTimeout", int64(c.PublishTimeout)}, {"MaxUnconfirmed", int64(c.MaxUnconfirmed)},
		{"DeclareEvery", int64(c.DeclareEvery)},
	} {
		if n.value < 0 {
			return c, events.Errorf(events.CodeConfig, "the RabbitMQ setting %s is negative: %d", n.name, n.value).WithField(n.name)
		}
	}
	if c.Heartbeat != 0 && c.Heartbeat < time.Second {
		return c, events.Errorf(events.CodeConfig, "the RabbitMQ setting Heartbeat is %v: it must be at least 1s", c.Heartbeat).WithField("Heartbeat")
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
	setDefault(&c.DeclareEvery, 30*time.Second)
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Address returns host, port and vhost of the broker, without user and password.
func (c Config) Address() string {
	u, err := amqp.ParseURI(c.URL)
	if err != nil {
		return "an invalid URL"
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
