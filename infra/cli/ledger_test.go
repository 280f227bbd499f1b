package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// books returns the books of send-welcome, and the exit code of the command.
func booksOf(t *testing.T, environ []string) (events.LedgerReport, int) {
	t.Helper()
	r := pitwheel(t, environ, "ledger", "--handler", "send-welcome", "-o", "json")
	var views []events.LedgerReport
	if err := json.Unmarshal([]byte(r.stdout), &views); err != nil || len(views) != 1 {
		t.Fatalf("exit code %d: %s%s (%v)", r.code, r.stdout, r.stderr, err)
	}
	v := views[0]
	if v.Events != v.Handled+v.Discarded+v.Poison+v.Parked+v.Waiting+v.Missing {
		t.Errorf("the books do not add up: %+v", v)
	}
	return v, r.code
}

// classicQueues has the service declare classic queues: RabbitMQ 3.10 can lose the supervisor
// of all quorum queues when one of them is deleted soon after it was declared.
func classicQueues(b *brokers) *brokers {
	b.environ = append(b.environ, "PITWHEEL_QUEUE_TYPE=classic")
	return b
}

// registerUsers registers users at the same time.
func registerUsers(t *testing.T, r *running, from, n int) {
	t.Helper()
	var all sync.WaitGroup
	places := make(chan struct{}, 32)
	for i := from; i < from+n; i++ {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			if _, err := r.post(t.Context(), "CREATE_USER", fmt.Sprint("user-", i), fmt.Sprintf(`{"email":"u%d@example.com","name":"U"}`, i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestLedger_QueueIsLostWhileItsHandlerDoesNotRun loses 300 events that wait in a queue: the
// command line says at once which are missing, and a service that runs the handler gets each
// of them once.
func TestLedger_QueueIsLostWhileItsHandlerDoesNotRun(t *testing.T) {
	t.Parallel()
	const n = 300
	for name, lose := range map[string]func(*amqp.Channel, string) error{
		"purged":  func(ch *amqp.Channel, q string) error { _, err := ch.QueuePurge(q, false); return err },
		"deleted": func(ch *amqp.Channel, q string) error { _, err := ch.QueueDelete(q, false, false, false); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := classicQueues(realBrokers(t))
			r := b.serve(t) // Its ledger begins.
			if code := r.end(t); code != exitOK {
				t.Fatalf("exit code %d", code)
			}
			r = b.serve(t, "--only", "create-user,user-directory")
			registerUsers(t, r, 0, n)
			programtest.Eventually(t, "all of them waiting", func() bool {
				open := pitwheel(t, b.environ, "ledger", "--open", "-o", "jsonl").ok(t).stdout
				return strings.Count(open, `"place":"waiting"`) == n // None is unpublished.
			})
			if v, code := booksOf(t, b.environ); v.Events != n || v.Waiting != n || code != exitOK {
				t.Errorf("exit code %d, %+v; want %d that wait", code, v, n)
			}
			if code := r.end(t); code != exitOK {
				t.Fatalf("exit code %d", code)
			}
			if err := lose(b.channel(t), b.named("notification-service")); err != nil {
				t.Fatal(err)
			}
			programtest.Eventually(t, "all of them missing", func() bool { // A quorum queue counts late.
				v, code := booksOf(t, b.environ)
				return v.Missing == n && code == exitPartly
			})
			list := pitwheel(t, b.environ, "ledger", "--list", "-o", "jsonl")
			if lines := strings.Count(list.stdout, `"place":"missing"`); lines != n || list.code != exitPartly {
				t.Errorf("%d events are listed, with exit code %d", lines, list.code)
			}
			r = b.serve(t)
			programtest.Eventually(t, "all of them handled", func() bool {
				v, code := booksOf(t, b.environ)
				return v.Handled == n && v.Healed == n && code == exitOK
			})
			_, page := r.get(t, "/metrics")
			if got := metric(page, "pitwheel_handler_messages_total", `handler_name="send-welcome"`, `outcome="handled"`); got != n {
				t.Errorf("%v messages were handled; want %d", got, n)
			}
		})
	}
}

// TestLedger_LossesUnderLoad deletes under load what carries events to a running handler, in
// turn: its queue, a binding, and the exchange. Every event that was accepted is handled once.
func TestLedger_LossesUnderLoad(t *testing.T) {
	t.Parallel()
	b := classicQueues(realBrokers(t))
	r := b.serve(t)
	const each = 150
	faults := []func(*amqp.Channel) error{
		func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(b.named("notification-service"), false, false, false)
			return err
		},
		func(ch *amqp.Channel) error {
			return ch.QueueUnbind(b.named("notification-service"), "USER_CREATED", b.named("user.events"), nil)
		},
		func(ch *amqp.Channel) error { return ch.ExchangeDelete(b.named("user.events"), false, false) },
		func(ch *amqp.Channel) error {
			_, err := ch.QueuePurge(b.named("notification-service"), false)
			return err
		},
	}
	ch := b.channel(t)
	for i, fault := range faults {
		var load sync.WaitGroup
		load.Go(func() { registerUsers(t, r, i*each, each) })
		if err := fault(ch); err != nil {
			t.Fatal(err)
		}
		load.Wait()
	}
	n := each * len(faults)
	programtest.Eventually(t, "all events handled", func() bool {
		v, code := booksOf(t, b.environ)
		return int(v.Events) == n && int(v.Handled) == n && code == exitOK //nolint:gosec // They are few.
	})
	_, page := r.get(t, "/metrics")
	if got := metric(page, "pitwheel_handler_messages_total", `handler_name="send-welcome"`, `outcome="handled"`); int(got) != n {
		t.Errorf("%v messages were handled; want %d", got, n)
	}
}

// TestHandlerReplay gives a handler its history again.
func TestHandlerReplay(t *testing.T) {
	t.Parallel()
	onBothBrokers(t, func(t *testing.T, b *brokers) {
		r := b.serve(t)
		registerUsers(t, r, 0, 5)
		programtest.Eventually(t, "all of them handled", func() bool { v, _ := booksOf(t, b.environ); return v.Handled == 5 })
		replay := func(args ...string) (v replayView) {
			t.Helper()
			out := pitwheel(t, b.environ, append([]string{"handler", "replay", "send-welcome", "-o", "json"}, args...)...).ok(t)
			if err := json.Unmarshal([]byte(out.stdout), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		if v := replay(); v.Selected != 5 || v.Settled != 5 || v.Delivered != 0 {
			t.Errorf("settled ones are not skipped: %+v", v)
		}
		if v := replay("--since", "1h", "--again", "--type", "USER_CREATED"); v.Delivered != 5 {
			t.Errorf("they are not delivered again: %+v", v)
		}
		programtest.Eventually(t, "all of them handled twice", func() bool {
			_, page := r.get(t, "/metrics")
			return metric(page, "pitwheel_handler_messages_total", `handler_name="send-welcome"`, `outcome="handled"`) == 10
		})
		if v, code := booksOf(t, b.environ); v.Handled != 5 || v.Events != 5 || code != exitOK {
			t.Errorf("a second time counts in the books: %+v", v)
		}
		for _, wrong := range [][]string{{"create-user"}, {"send-welcome", "--type", "USER_DEACTIVATED"}, {"send-welcome", "--rate", "0"}, {"nobody"}} {
			if res := pitwheel(t, b.environ, append([]string{"handler", "replay"}, wrong...)...); res.code == exitOK {
				t.Errorf("%q is accepted", wrong)
			}
		}
	})
}

// onBothBrokers runs a test over RabbitMQ and over Redis Streams.
func onBothBrokers(t *testing.T, f func(*testing.T, *brokers)) {
	t.Helper()
	t.Run("RabbitMQ", func(t *testing.T) {
		t.Parallel()
		f(t, realBrokers(t))
	})
	t.Run("Redis Streams", func(t *testing.T) {
		t.Parallel()
		url := brokertest.Redis(t)
		b := brokersAt(t, "", url)
		brokertest.CleanRedis(t, url, b.namespace)
		f(t, b)
	})
}
