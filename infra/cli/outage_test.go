package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// back is how soon after its broker a service must be at work again (promise 7).
const back = slack * 10 * time.Second

// campaign sends commands from many senders, each again under its id until it is
// accepted: one command every pace until finish is called, then all that are left.
// finish returns their outcomes.
func (r *running) campaign(t *testing.T, name string, n int, pace time.Duration) (finish func() []events.Outcome) {
	t.Helper()
	const senders = 20
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	hurry, ended := make(chan struct{}), make(chan error, 1)
	outcomes := make([]events.Outcome, n)
	go func() {
		defer cancel()
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(senders)
		for i := range outcomes {
			select {
			case <-ticker.C:
			case <-hurry:
			case <-ctx.Done():
			}
			group.Go(func() (err error) {
				outcomes[i], err = r.insist(ctx, fmt.Sprintf("%s-%d", name, i))
				return err
			})
		}
		ended <- group.Wait()
	}()
	return func() []events.Outcome {
		t.Helper()
		close(hurry)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		return outcomes
	}
}

// insist sends one command again and again until it is accepted.
func (r *running) insist(ctx context.Context, id string) (events.Outcome, error) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		o, err := r.post(ctx, "CREATE_USER", id, fmt.Sprintf(`{"email":"%s@example.com","name":"U"}`, id))
		switch {
		case err == nil && o.Status == events.StatusAccepted:
			return o, nil
		case err == nil && o.Status == events.StatusRejected:
			return o, fmt.Errorf("%s was rejected: %+v", id, o)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return o, fmt.Errorf("%s was not accepted in time, the last answer was %+v, %w", id, o, err)
		}
	}
}

// worksAgain sends a command that must be accepted in time, counted from now on.
func (r *running) worksAgain(t *testing.T, id string) events.Outcome {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), back)
	defer cancel()
	o, err := r.insist(ctx, id)
	if err != nil {
		t.Errorf("not at work again: %v", err)
	}
	programtest.Eventually(t, "/readyz that says so", func() bool {
		code, _ := r.get(t, "/readyz")
		return code == http.StatusOK
	})
	took := time.Since(began)
	t.Logf("%s: at work again after %s", id, took)
	if took > back {
		t.Errorf("%s: it took %s to work again", id, took)
	}
	return o
}

// showsLoss waits until readiness and metrics tell that a broker is away.
func (r *running) showsLoss(t *testing.T, broker string) {
	t.Helper()
	r.shows(t, broker, "pitwheel_broker_connected", 0)
}

// showsBlock waits until readiness and metrics tell that a broker takes nothing.
func (r *running) showsBlock(t *testing.T, broker string) {
	t.Helper()
	r.shows(t, broker, "pitwheel_broker_blocked", 1)
}

func (r *running) shows(t *testing.T, broker, name string, want float64) {
	t.Helper()
	programtest.Eventually(t, fmt.Sprintf("%s to be %v for %s, and /readyz to say why", name, want, broker), func() bool {
		code, body := r.get(t, "/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, broker+": ") && r.brokerMetric(t, broker, name) == want
	})
}

func (r *running) brokerMetric(t *testing.T, broker, name string) float64 {
	t.Helper()
	_, page := r.get(t, "/metrics")
	return metric(page, name, `broker="`+broker+`"`)
}

// boundedLog returns a function that checks how many lines were logged since: three
// or so for each consumer, at the beginning and at the end of an outage, and a few a
// second.
func (r *running) boundedLog(t *testing.T, what string) func() {
	t.Helper()
	began, before := time.Now(), strings.Count(r.errs.String(), "\n")
	return func() {
		t.Helper()
		took := time.Since(began).Seconds()
		lines := strings.Count(r.errs.String(), "\n") - before
		t.Logf("%s: %d lines were logged in %.1f s", what, lines, took)
		if lines > 50+int(5*took) {
			t.Errorf("%s: %d lines were logged in %.1f s", what, lines, took)
		}
	}
}

// recorder is a durable queue of a plain AMQP client that gets every new user.
func (b *brokers) recorder(t *testing.T) (read func() <-chan amqp.Delivery) {
	t.Helper()
	name := b.named("recorder")
	ch := b.channel(t)
	_, err := ch.QueueDeclare(name, true, false, false, false, nil)
	if err == nil {
		err = ch.QueueBind(name, "USER_CREATED", b.named("user.events"), false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() <-chan amqp.Delivery {
		out, err := b.channel(t).Consume(name, "", true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// checkEverything checks that each accepted command came to be one stored event,
// a message for other services, a mail and a row. A nil published skips the second.
func (b *brokers) checkEverything(t *testing.T, outcomes []events.Outcome, published <-chan amqp.Delivery) {
	t.Helper()
	want := map[string]bool{}
	for _, o := range outcomes {
		want[o.Events[0].ID] = true
	}
	if len(want) != len(outcomes) {
		t.Errorf("%d commands were accepted with %d events", len(outcomes), len(want))
	}
	seen := map[string]bool{}
	for published != nil && len(seen) < len(want) {
		select {
		case d := <-published:
			if seen[d.MessageId] = true; !want[d.MessageId] {
				t.Fatalf("the event %s was published, which no outcome names", d.MessageId)
			}
		case <-time.After(programtest.Patience):
			t.Fatalf("only %d of %d events were published", len(seen), len(want))
		}
	}
	programtest.Eventually(t, "all rows", func() bool {
		out := pitwheel(t, b.environ, "projection", "rows", "user-directory", "--limit", "10000", "-o", "jsonl").ok(t).stdout
		return strings.Count(out, "\n") == len(want)
	})
	programtest.Eventually(t, "a mail for each user", func() bool {
		to := map[string]bool{}
		for _, m := range b.mails.Messages() {
			to[m.To] = true
		}
		return len(to) == len(want)
	})
	stored := pitwheel(t, b.environ, "event", "tail", "--since", "1h", "--no-follow", "-o", "jsonl").ok(t).stdout
	if n := strings.Count(stored, "\n"); n != len(want) {
		t.Errorf("the log has %d events, not %d", n, len(want))
	}
}
