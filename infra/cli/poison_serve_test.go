package cli

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router/poison"
)

// impatient writes a configuration file under which nothing is retried.
func impatient(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pitwheel.yaml")
	if err := os.WriteFile(file, []byte("handlers:\n  send-welcome: {attempts: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// depth returns how many messages wait in a queue of RabbitMQ.
func (b *brokers) depth(t *testing.T, queue string) int {
	t.Helper()
	q, err := b.channel(t).QueueDeclarePassive(b.named(queue), true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
}

// While the mail server is away, every welcome becomes a poison message; once it is back,
// one command sends them all.
func TestPoison_FromAlertToRetry(t *testing.T) {
	t.Parallel()
	const users = 12 // Too few, also twice, for the breaker to open.
	b := realBrokers(t)
	working := b.environ
	b.environ = append(slices.Clone(working), "PITWHEEL_SMTP_URL=smtp://127.0.0.1:1")
	r := b.serve(t, "--config", impatient(t))
	correlations := map[string]bool{}
	for i := range users {
		o, err := r.post(t.Context(), "CREATE_USER", fmt.Sprint("user-", i), fmt.Sprintf(`{"email":"u%d@example.com","name":"User %d"}`, i, i))
		if err != nil {
			t.Fatal(err)
		}
		correlations[o.CorrelationID] = true
	}
	gauge := func(r *running) float64 {
		_, page := r.get(t, "/metrics")
		return metric(page, "pitwheel_poison_messages", `handler_name="send-welcome"`)
	}
	programtest.Eventually(t, "the alert", func() bool { return gauge(r) == users })
	if code, body := r.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, body)
	}
	messages := poisonOf(t, pitwheel(t, b.environ, "poison", "export", "--handler", "send-welcome").ok(t).stdout)
	for _, l := range messages {
		if !correlations[l.CorrelationID] || l.Key == "" || l.Type != "USER_CREATED" || l.Attempts != 1 || l.Source != poison.FromRouter || l.Metadata["causation_id"] == "" {
			t.Errorf("a poison message is %+v", l)
		}
		delete(correlations, l.CorrelationID)
	}
	if len(messages) != users || len(correlations) > 0 {
		t.Errorf("%d poison messages, and %d correlations have none", len(messages), len(correlations))
	}
	_, page := r.get(t, "/metrics")
	if n := metric(page, "pitwheel_handler_messages_total", `handler_name="send-welcome"`, `outcome="poisoned"`); n != users {
		t.Errorf("%v messages are counted as poisoned", n)
	}
	programtest.Eventually(t, "an empty poison queue", func() bool { return b.depth(t, "notification-service.poison") == 0 })
	// Given back too early, they fail again, and are the same poison messages.
	pitwheel(t, b.environ, "poison", "retry", "--handler", "send-welcome", "-y").ok(t)
	programtest.Eventually(t, "the second failure of each", func() bool {
		twice := 0
		for _, l := range poisonOf(t, pitwheel(t, b.environ, "poison", "list", "-o", "jsonl").ok(t).stdout) {
			if l.Failures == 2 {
				twice++
			}
		}
		return twice == users
	})
	if code := r.end(t); code != exitOK {
		t.Errorf("the drain ended with %d", code)
	}

	b.environ = working
	r = b.serve(t)
	pitwheel(t, b.environ, "poison", "retry", "--filter", "handler=send-welcome", "-y").ok(t)
	programtest.Eventually(t, "every mail", func() bool { return b.mails.Count() == users })
	programtest.Eventually(t, "the end of the alert", func() bool { return gauge(r) == 0 })
	if out := pitwheel(t, b.environ, "poison", "list", "-o", "json").ok(t).stdout; out != "[]\n" {
		t.Errorf("poison messages are left: %s", out)
	}
}

// RabbitMQ dead-letters a foreign message without properties.
func TestPoison_FromBroker(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	b.serve(t, "--only", "create-user")
	ch := b.channel(t)
	// When an event has come into the queue, it is bound.
	pitwheel(t, b.environ, "send", "CREATE_USER", "-f", "email=first@example.com", "-f", "name=First").ok(t)
	programtest.Eventually(t, "the queue of the handler that does not run", func() bool {
		d, ok, err := b.channel(t).Get(b.named("notification-service"), true)
		return err == nil && ok && d.Type == "USER_CREATED"
	})
	body := `{"type":"USER_CREATED","data":{"userId":"6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0001","email":"nest@example.com","name":"Nest"}}`
	if err := ch.PublishWithContext(t.Context(), b.named("user.events"), "USER_CREATED", false, false, amqp.Publishing{Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	programtest.Eventually(t, "the message in the queue", func() bool {
		d, ok, err := ch.Get(b.named("notification-service"), false)
		if err != nil {
			t.Fatal(err)
		}
		return ok && d.Nack(false, false) == nil
	})
	var messages []poison.Message
	programtest.Eventually(t, "a poison message", func() bool {
		messages = poisonOf(t, pitwheel(t, b.environ, "poison", "export").ok(t).stdout)
		return len(messages) == 1
	})
	id := messages[0].MessageID
	if l := messages[0]; !events.IsID(id) || l.Source != poison.FromBroker || l.Code != "REJECTED" || l.Type != "USER_CREATED" || l.Handler != "send-welcome" || l.Metadata["type"] != "USER_CREATED" || string(l.Body) != body {
		t.Errorf("the poison message is %+v", l)
	}
	pitwheel(t, b.environ, "poison", "retry", messages[0].ID).ok(t)
	d, ok, err := ch.Get(b.named("notification-service"), true)
	if err != nil || !ok || string(d.Body) != body || d.Type != "USER_CREATED" || d.MessageId != id || d.AppId != "" || d.Headers["x-death"] != nil {
		t.Errorf("back in the queue is %v %+v, %v", ok, d, err)
	}
}

// A broken command arrives over a stream.
func TestPoison_OnRedisStreams(t *testing.T) {
	t.Parallel()
	url, ns := brokertest.Redis(t), brokertest.Namespace(t)
	brokertest.CleanRedis(t, url, ns)
	environ := []string{"PITWHEEL_REDIS_URL=" + url, "PITWHEEL_NAMESPACE=" + ns, "PITWHEEL_HTTP_ADDR=127.0.0.1:0", "PITWHEEL_LOG_FORMAT=json"}
	b := &brokers{environ: environ}
	r := b.serve(t)
	store, err := redis.Open(t.Context(), redis.Config{URL: url, Namespace: ns})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	msg := message.NewMessage(events.NewID(), []byte(`{"broken`))
	msg.Metadata.Set("type", "CREATE_USER")
	if err := store.Publisher().Publish("user.commands", msg); err != nil {
		t.Fatal(err)
	}
	var messages []poison.Message
	programtest.Eventually(t, "a poison message", func() bool {
		messages = poisonOf(t, pitwheel(t, environ, "poison", "list", "-o", "jsonl").ok(t).stdout)
		return len(messages) == 1
	})
	if l := messages[0]; l.Handler != "create-user" || l.Kind != "command" || l.MessageID != msg.UUID || l.Code != events.CodeUndecodable {
		t.Errorf("the poison message is %+v", l)
	}
	// The log has the command that shows the message.
	hint := r.errs.Await(t, `"hint":"pitwheel (poison show [0-9a-f-]+)"`)[1]
	if out := pitwheel(t, environ, strings.Fields(hint)...).ok(t).stdout; !strings.Contains(out, messages[0].ID) {
		t.Errorf("%s prints %s", hint, out)
	}
	pitwheel(t, environ, "poison", "retry", messages[0].ID).ok(t)
	programtest.Eventually(t, "its second failure", func() bool {
		messages = poisonOf(t, pitwheel(t, environ, "poison", "list", "-o", "jsonl").ok(t).stdout)
		return len(messages) == 1 && messages[0].Failures == 2
	})
}
