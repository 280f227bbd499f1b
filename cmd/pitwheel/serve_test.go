package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/mail"
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
		[]string{b.named("create-user"), b.named("change-user-email"), b.named("deactivate-user"), b.named("notification-service"), b.named("user-directory"), b.named("ledger")},
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
	r.http, r.environ = r.errs.await(t, `"every handler is consuming","http":"([^"]+)"`)[1], b.environ
	return r
}

// launch is serve in a process of its own.
func (b *brokers) launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := launch(t, b.environ, append([]string{"serve"}, args...)...)
	p.http = p.errs.await(t, `"every handler is consuming","http":"([^"]+)"`)[1]
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
	resp, err := http.Get("http://" + r.http + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// eventually asks again and again until a check holds.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(patience); !check(); {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("in vain: %s", what)
		}
	}
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

// TestServeOnBrokers sends commands from many senders and looks at everything
// that must come of them.
func TestServeOnBrokers(t *testing.T) {
	t.Parallel()
	const senders, each = 20, 10
	b := realBrokers(t)
	r := b.serve(t)
	if code, body := r.get(t, "/readyz"); code != http.StatusOK {
		t.Fatalf("/readyz: %d %s", code, body)
	}
	deliveries := b.listen(t, "USER_CREATED")

	var group errgroup.Group
	var mu sync.Mutex
	users := map[string]events.Outcome{}
	for s := range senders {
		group.Go(func() error {
			for i := range each {
				o, err := r.post(t.Context(), "CREATE_USER", fmt.Sprintf("s%d-%d", s, i), fmt.Sprintf(`{"email":"u%d.%d@example.com","name":"User %d"}`, s, i, i))
				if err != nil {
					return err
				}
				if o.Status != events.StatusAccepted || o.Version != 1 {
					return fmt.Errorf("the outcome is %+v", o)
				}
				mu.Lock()
				users[o.AggregateID] = o
				mu.Unlock()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(users) != senders*each {
		t.Fatalf("%d users were made, not %d", len(users), senders*each)
	}

	// A plain consumer sees each event once, in the contract's shape.
	seen := map[string]bool{}
	for len(seen) < len(users) {
		select {
		case d := <-deliveries:
			id := checkShape(t, d)
			if seen[id] {
				t.Errorf("the event of %s was published twice", id)
			}
			seen[id] = true
		case <-time.After(patience):
			t.Fatalf("only %d of %d events were published", len(seen), len(users))
		}
	}
	// One mail and one row each.
	eventually(t, "a mail for each user", func() bool { return b.mails.Count() >= len(users) })
	if n := b.mails.Count(); n != len(users) {
		t.Errorf("%d mails were sent, not %d", n, len(users))
	}
	rows := func() []map[string]any {
		var out []map[string]any
		if err := json.Unmarshal([]byte(pitwheel(t, r.environ, "projection", "rows", "user-directory", "--limit", "10000", "-o", "json").ok(t).stdout), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	eventually(t, "a row for each user", func() bool { return len(rows()) == len(users) })
	for _, row := range rows() {
		if _, ok := users[row["id"].(string)]; !ok || row["version"] != 1.0 || row["status"] != "active" {
			t.Errorf("the directory has the row %v", row)
		}
	}
	// Nothing is left to do, and the metrics say the same.
	eventually(t, "an empty queue", func() bool {
		q, err := b.channel(t).QueueDeclarePassive(b.named("notification-service"), true, false, false, false, nil)
		return err == nil && q.Messages == 0
	})
	n := float64(len(users))
	eventually(t, "metrics that add up", func() bool {
		_, page := r.get(t, "/metrics")
		return metric(page, "pitwheel_commands_total", `command="CREATE_USER"`, `result="accepted"`) == n &&
			metric(page, "pitwheel_handler_messages_total", `handler_name="create-user"`, `outcome="handled"`) == n &&
			metric(page, "pitwheel_handler_messages_total", `handler_name="send-welcome"`, `outcome="handled"`) == n &&
			metric(page, "pitwheel_handler_messages_total", `outcome="poisoned"`) == 0 &&
			metric(page, "pitwheel_broker_connected") == 2
	})
	if code := r.end(t); code != exitOK {
		t.Errorf("the drain ended with %d", code)
	}
}

// checkShape checks a message against the contract and returns the user's id.
func checkShape(t *testing.T, d amqp.Delivery) string {
	t.Helper()
	var body map[string]json.RawMessage
	var data struct{ UserID, Email, Name string }
	if err := json.Unmarshal(d.Body, &body); err != nil {
		t.Fatalf("%s: %v", d.Body, err)
	}
	if err := json.Unmarshal(body["data"], &data); err != nil || data.UserID == "" || len(body) != 4 {
		t.Errorf("the body is %s", d.Body)
	}
	if string(body["id"]) != `"`+d.MessageId+`"` || !events.IsID(d.MessageId) || string(body["type"]) != `"USER_CREATED"` || d.Type != "USER_CREATED" {
		t.Errorf("id %q and type %q stand beside the body %s", d.MessageId, d.Type, d.Body)
	}
	if !regexp.MustCompile(`^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"$`).Match(body["timestamp"]) || d.Timestamp.IsZero() {
		t.Errorf("the timestamps are %s and %v", body["timestamp"], d.Timestamp)
	}
	if d.ContentType != "application/json" || d.DeliveryMode != amqp.Persistent || d.CorrelationId == "" || d.AppId == "" || d.RoutingKey != "USER_CREATED" {
		t.Errorf("the properties are %q %d %q %q %q", d.ContentType, d.DeliveryMode, d.CorrelationId, d.AppId, d.RoutingKey)
	}
	for name, want := range map[string]string{"aggregate": "user", "aggregate_id": data.UserID, "aggregate_version": "1", "schema_version": "1"} {
		if d.Headers[name] != want {
			t.Errorf("the header %s is %v, not %q", name, d.Headers[name], want)
		}
	}
	if cause, _ := d.Headers["causation_id"].(string); !events.IsID(cause) {
		t.Errorf("the header causation_id is %v", d.Headers["causation_id"])
	}
	return data.UserID
}

// TestManyChangesOfOneUser has senders compete for one aggregate.
func TestManyChangesOfOneUser(t *testing.T) {
	t.Parallel()
	const changes = 50
	b := realBrokers(t)
	r := b.serve(t)
	created, err := r.post(t.Context(), "CREATE_USER", "one", `{"email":"one@example.com","name":"One"}`)
	if err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	for i := range changes {
		group.Go(func() error {
			o, err := r.post(t.Context(), "CHANGE_USER_EMAIL", fmt.Sprintf("change-%d", i), fmt.Sprintf(`{"userId":%q,"email":"one.%d@example.com"}`, created.AggregateID, i))
			if err == nil && o.Status != events.StatusAccepted {
				err = fmt.Errorf("the outcome is %+v", o)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	out := pitwheel(t, r.environ, "aggregate", "history", "user", created.AggregateID, "-o", "jsonl").ok(t).stdout
	version := uint64(0)
	for line := range strings.Lines(out) {
		var e eventView
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if version++; e.Version != version {
			t.Fatalf("after version %d comes %d", version-1, e.Version)
		}
	}
	if version != changes+1 {
		t.Errorf("there are %d versions, not %d", version, changes+1)
	}
}

// TestForeignProducers has a NestJS-shaped message handled and a broken one set aside.
func TestForeignProducers(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	r := b.serve(t)
	ch := b.channel(t)
	publish := func(p amqp.Publishing) {
		if err := ch.PublishWithContext(t.Context(), b.named("user.events"), "USER_CREATED", false, false, p); err != nil {
			t.Fatal(err)
		}
	}
	publish(amqp.Publishing{
		Body:    []byte(`{"type":"USER_CREATED","timestamp":1767225600000,"data":{"userId":"6f2b1f6e-52a1-4d0c-9a55-0d0f6a1c0001","email":"nest@example.com","name":"Nest"}}`),
		Headers: amqp.Table{"attempt": int32(1), "ratio": 0.5, "nested": amqp.Table{"a": []any{int64(1), "b"}}},
	})
	eventually(t, "a mail for the foreign event", func() bool { return b.mails.Count() == 1 })

	broken := []byte(`{"type":"USER_CREATED","data":{`)
	publish(amqp.Publishing{Body: broken, Headers: amqp.Table{"attempt": int32(1)}})
	var letters []events.Letter
	eventually(t, "the letter of the broken message", func() bool {
		out := pitwheel(t, r.environ, "poison", "export", "--handler", "send-welcome").ok(t).stdout
		letters = lettersOf(t, out)
		return len(letters) == 1
	})
	if l := letters[0]; !bytes.Equal(l.Body, broken) || l.Code != events.CodeUndecodable || l.Attempts != 1 || l.Metadata["attempt"] != "1" {
		t.Errorf("the letter is %+v", l)
	}
	if n := b.mails.Count(); n != 1 {
		t.Errorf("%d mails were sent, not 1", n)
	}
}

// TestServeOnly runs the handlers in two services, and none twice.
func TestServeOnly(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	b.serve(t, "--only", "create-user,user-directory")
	// Nobody mails yet, but the queue stands, so that nothing passes it by.
	var o events.Outcome
	out := pitwheel(t, b.environ, "send", "CREATE_USER", "-f", "email=only@example.com", "-f", "name=Only", "--wait", "-o", "json").ok(t).stdout
	if err := json.Unmarshal([]byte(out), &o); err != nil || o.Status != events.StatusAccepted {
		t.Fatalf("the outcome is %s", out)
	}
	eventually(t, "the event in the queue of the handler that does not run", func() bool {
		q, err := b.channel(t).QueueDeclarePassive(b.named("notification-service"), true, false, false, false, nil)
		return err == nil && q.Messages == 1
	})
	b.serve(t, "--only", "send-welcome")
	eventually(t, "the mail", func() bool { return b.mails.Count() == 1 })
}

// TestNobodyHandles sends a command to brokers on which no service ever ran.
func TestNobodyHandles(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	r := pitwheel(t, b.environ, "send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A", "-o", "json")
	if r.code != exitUnreachable || !strings.Contains(r.stderr, `"code":"UNHANDLED"`) {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}
