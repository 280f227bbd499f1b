package cli

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

func TestServe_PublishDurableNeedsServerThatConfirms(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t, "--appendonly", "no")
	r := pitwheel(t, []string{"PITWHEEL_REDIS_URL=" + srv.URL(), "PITWHEEL_HTTP_ADDR=127.0.0.1:0", "PITWHEEL_PUBLISH=durable"}, "serve")
	for _, want := range []string{"PITWHEEL_PUBLISH: only what is durable is to be published", "appendfsync always", "Redis 7.2", "connect a replica"} {
		if r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("exit code %d, no %q in %s", r.code, want, r.stderr)
		}
	}
	r = pitwheel(t, []string{"PITWHEEL_HTTP_ADDR=127.0.0.1:0"}, "dev", "--publish", "durable")
	if r.code != exitUsage || !strings.Contains(r.stderr, "--publish durable") {
		t.Errorf("dev: exit code %d, %s", r.code, r.stderr)
	}
}

// While the replica is away, no command is accepted and no event published.
func TestServe_PublishesOnlyWhatIsDurable(t *testing.T) {
	t.Parallel()
	primary := brokertest.StartRedis(t, "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	replica := brokertest.StartRedis(t, "--replicaof", host+" "+port)
	store := storeOf(t, primary.URL(), "unrelated")
	connected := func() {
		programtest.Eventually(t, "a replica", func() bool {
			return strings.Contains(store.Client().Info(t.Context(), "replication").Val(), "state=online")
		})
	}
	connected()
	b := brokersAt(t, "", primary.URL())
	b.environ = append(b.environ, "PITWHEEL_PUBLISH=durable")
	serve := b.serve(t)
	replica.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	if o, err := serve.post(ctx, "CREATE_USER", "c1", `{"email":"a@example.com","name":"A"}`); err == nil {
		t.Errorf("a command was accepted that is not durable: %+v", o)
	}
	own := storeOf(t, primary.URL(), b.namespace)
	programtest.Eventually(t, "an event in the log", func() bool {
		end, err := own.End(t.Context())
		return err == nil && events.Cursor(nil).Behind(end) == 1
	})
	programtest.Eventually(t, "readiness to name it", func() bool {
		_, page := serve.get(t, "/readyz")
		return strings.Contains(page, "redis: ") && strings.Contains(page, "cannot confirm") && strings.Contains(page, "connect a replica")
	})
	if n := b.mails.Count(); n != 0 {
		t.Errorf("%d mails about an event that is not durable", n)
	}
	replica.Start()
	connected()
	programtest.Eventually(t, "the mail", func() bool { return b.mails.Count() == 1 })
	if o, err := serve.post(t.Context(), "CREATE_USER", "c1", `{"email":"a@example.com","name":"A"}`); err != nil || o.Status != events.StatusAccepted {
		t.Errorf("%+v, %v", o, err)
	}
}
