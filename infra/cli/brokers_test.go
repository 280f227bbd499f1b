package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/mail"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// brokers are real ones, with a namespace of the test's own.
type brokers struct {
	amqpURL, namespace string
	environ            []string
	mails              *mail.Catcher
}

func realBrokers(t *testing.T) *brokers {
	t.Helper()
	redisURL := brokertest.Redis(t)
	b := brokersAt(t, brokertest.AMQP(t), redisURL)
	brokertest.CleanRedis(t, redisURL, b.namespace)
	b.clean(t)
	return b
}

// clean removes from a RabbitMQ that others use what the test declares.
func (b *brokers) clean(t *testing.T) {
	t.Helper()
	brokertest.CleanAMQP(t, b.amqpURL,
		[]string{b.named("create-user"), b.named("change-user-email"), b.named("deactivate-user"), b.named("notification-service"), b.named("user-directory"), b.named("recorder")},
		[]string{b.named("user.events"), b.named("user.commands")})
}

// brokersAt are those at the given URLs, and a mail server. Without a RabbitMQ all
// travels over Redis.
func brokersAt(t *testing.T, amqpURL, redisURL string) *brokers {
	t.Helper()
	b := &brokers{amqpURL: amqpURL, namespace: brokertest.Namespace(t)}
	var err error
	if b.mails, err = mail.StartCatcher(mail.CatcherConfig{Addr: "127.0.0.1:0", Keep: 10_000}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.mails.Close() })
	b.environ = []string{
		"PITWHEEL_AMQP_URL=" + amqpURL, "PITWHEEL_REDIS_URL=" + redisURL, "PITWHEEL_NAMESPACE=" + b.namespace,
		"PITWHEEL_SMTP_URL=smtp://" + b.mails.Addr(), "PITWHEEL_HTTP_ADDR=127.0.0.1:0", "PITWHEEL_LOG_FORMAT=json",
	}
	return b
}

// named is a name as the broker has it.
func (b *brokers) named(name string) string { return b.namespace + "." + name }

// serve runs the service until every handler is consuming.
func (b *brokers) serve(t *testing.T, args ...string) *running {
	t.Helper()
	r := start(t, b.environ, append([]string{"serve"}, args...)...)
	r.http, r.environ = r.errs.Await(t, `"every handler is consuming".*"http":"([^"]+)"`)[1], b.environ
	return r
}

// launch is serve in a process of its own.
func (b *brokers) launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := launch(t, b.environ, append([]string{"serve"}, args...)...)
	p.http = p.errs.Await(t, `"every handler is consuming".*"http":"([^"]+)"`)[1]
	return p
}

// channel opens a channel of a plain AMQP client.
func (b *brokers) channel(t *testing.T) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(b.amqpURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// listen binds a queue of a plain consumer to the events of a type.
func (b *brokers) listen(t *testing.T, eventType string) <-chan amqp.Delivery {
	t.Helper()
	ch := b.channel(t)
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err == nil {
		err = ch.QueueBind(q.Name, eventType, b.named("user.events"), false, nil)
	}
	var out <-chan amqp.Delivery
	if err == nil {
		out, err = ch.Consume(q.Name, "", true, true, false, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// post sends a command by HTTP and waits for its outcome.
func (r *running) post(ctx context.Context, name, id, data string) (events.Outcome, error) {
	var o events.Outcome
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.http+"/v1/commands/"+name+"?wait=10s", strings.NewReader(data))
	if err != nil {
		return o, err
	}
	req.Header.Set("Idempotency-Key", id)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return o, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, &o)
	}
	if err != nil || o.Status == "" {
		return o, fmt.Errorf("%s %s: HTTP %s: %s %w", name, id, resp.Status, body, err)
	}
	return o, nil
}

// get reads a page.
func (r *running) get(t *testing.T, path string) (int, string) {
	t.Helper()
	return programtest.Get(t, "http://"+r.http+path)
}

// metric sums up the values of a metric whose line has all the given labels.
func metric(page, name string, labels ...string) float64 {
	var sum float64
lines:
	for line := range strings.Lines(page) {
		if !regexp.MustCompile(`^` + name + `[{ ]`).MatchString(line) {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(line, l) {
				continue lines
			}
		}
		v, _ := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:len(line)-1], 64)
		sum += v
	}
	return sum
}
