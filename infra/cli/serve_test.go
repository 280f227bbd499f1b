package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/router/poison"
)

// TestServe_ManySenders sends commands from many senders and looks at everything
// that must come of them.
func TestServe_ManySenders(t *testing.T) {
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
		case <-time.After(programtest.Patience):
			t.Fatalf("only %d of %d events were published", len(seen), len(users))
		}
	}
	// One mail and one row each.
	programtest.Eventually(t, "a mail for each user", func() bool { return b.mails.Count() >= len(users) })
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
	programtest.Eventually(t, "a row for each user", func() bool { return len(rows()) == len(users) })
	for _, row := range rows() {
		if _, ok := users[row["id"].(string)]; !ok || row["version"] != 1.0 || row["closed"] != false {
			t.Errorf("the directory has the row %v", row)
		}
	}
	// Nothing is left to do, and the metrics say the same.
	programtest.Eventually(t, "an empty queue", func() bool {
		q, err := b.channel(t).QueueDeclarePassive(b.named("notification-service"), true, false, false, false, nil)
		return err == nil && q.Messages == 0
	})
	n := float64(len(users))
	programtest.Eventually(t, "metrics that add up", func() bool {
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

// TestServe_OneAggregate has senders compete for one aggregate.
func TestServe_OneAggregate(t *testing.T) {
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

// TestServe_ForeignProducers has a NestJS-shaped message handled and a broken one sent to the poison queue.
func TestServe_ForeignProducers(t *testing.T) {
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
	programtest.Eventually(t, "a mail for the foreign event", func() bool { return b.mails.Count() == 1 })

	broken := []byte(`{"type":"USER_CREATED","data":{`)
	publish(amqp.Publishing{Body: broken, Headers: amqp.Table{"attempt": int32(1)}})
	var messages []poison.Message
	programtest.Eventually(t, "the poison message of the broken message", func() bool {
		out := pitwheel(t, r.environ, "poison", "export", "--handler", "send-welcome").ok(t).stdout
		messages = poisonOf(t, out)
		return len(messages) == 1
	})
	if l := messages[0]; !bytes.Equal(l.Body, broken) || l.Code != events.CodeUndecodable || l.Attempts != 1 || l.Metadata["attempt"] != "1" {
		t.Errorf("the poison message is %+v", l)
	}
	if n := b.mails.Count(); n != 1 {
		t.Errorf("%d mails were sent, not 1", n)
	}
}

// TestServe_Only runs the handlers in two services, and none twice.
func TestServe_Only(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	b.serve(t, "--only", "create-user,user-directory")
	// Nobody mails yet, but the queue stands, so that nothing passes it by.
	var o events.Outcome
	out := pitwheel(t, b.environ, "send", "CREATE_USER", "-f", "email=only@example.com", "-f", "name=Only", "--wait", "-o", "json").ok(t).stdout
	if err := json.Unmarshal([]byte(out), &o); err != nil || o.Status != events.StatusAccepted {
		t.Fatalf("the outcome is %s", out)
	}
	programtest.Eventually(t, "the event in the queue of the handler that does not run", func() bool {
		q, err := b.channel(t).QueueDeclarePassive(b.named("notification-service"), true, false, false, false, nil)
		return err == nil && q.Messages == 1
	})
	b.serve(t, "--only", "send-welcome")
	programtest.Eventually(t, "the mail", func() bool { return b.mails.Count() == 1 })
}

// TestSend_Unhandled sends a command to brokers on which no service ever ran.
func TestSend_Unhandled(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	r := pitwheel(t, b.environ, "send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A", "-o", "json")
	if r.code != exitUnreachable || !strings.Contains(r.stderr, `"code":"UNHANDLED"`) {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}
