package cli

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/transports"
)

// recorded waits until a service has recorded its transport.
func recorded(t *testing.T, url, namespace string) *redis.Store {
	t.Helper()
	store, err := redis.Open(t.Context(), redis.Config{URL: url, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	programtest.Eventually(t, "a recorded transport", func() bool {
		used, err := store.UsedTransports(t.Context())
		return err == nil && len(used) > 0
	})
	return store
}

// A client that has forgotten the address of RabbitMQ would send into a stream that nobody
// reads.
func TestTransport_Forgotten(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	b.serve(t)
	store := recorded(t, brokertest.Redis(t), b.namespace)
	environ := slices.DeleteFunc(slices.Clone(b.environ), func(s string) bool { return strings.HasPrefix(s, "PITWHEEL_AMQP_URL=") })
	for _, args := range [][]string{
		{"send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A"},
		{"poison", "retry", "--all", "-y"},
	} {
		r := pitwheel(t, environ, args...)
		if r.code != exitUnreachable || r.stdout != "" {
			t.Errorf("%v: exit code %d, stdout %q", args, r.code, r.stdout)
		}
		for _, want := range []string{"the service on this Redis uses RabbitMQ at ", "this command Redis Streams", "hint: set PITWHEEL_AMQP_URL to that RabbitMQ"} {
			if !strings.Contains(r.stderr, want) {
				t.Errorf("%v: no %q in %s", args, want, r.stderr)
			}
		}
		if strings.Contains(r.stderr, "guest") {
			t.Errorf("%v: credentials are shown: %s", args, r.stderr)
		}
	}
	if n, err := store.Client().Exists(t.Context(), b.namespace+":user.commands").Result(); err != nil || n != 0 {
		t.Errorf("the command was sent to a stream that nobody reads: %d, %v", n, err)
	}
	// Other commands need no transport.
	pitwheel(t, environ, "projection", "list").ok(t)
	pitwheel(t, environ, "poison", "list").ok(t)
}

func TestTransport_TooMuch(t *testing.T) {
	t.Parallel()
	url, ns := brokertest.Redis(t), brokertest.Namespace(t)
	brokertest.CleanRedis(t, url, ns)
	b := &brokers{environ: []string{"PITWHEEL_REDIS_URL=" + url, "PITWHEEL_NAMESPACE=" + ns, "PITWHEEL_HTTP_ADDR=127.0.0.1:0", "PITWHEEL_LOG_FORMAT=json"}}
	b.serve(t)
	recorded(t, url, ns)
	// It is not even connected to: there is nothing at this address.
	r := pitwheel(t, append(slices.Clone(b.environ), "PITWHEEL_AMQP_URL=amqp://127.0.0.1:1"), "send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A", "-o", "json")
	for _, want := range []string{`"code":"UNHANDLED"`, "uses Redis Streams, and this command RabbitMQ at 127.0.0.1:1/", "leave PITWHEEL_AMQP_URL out", `"field":"amqp_url"`} {
		if r.code != exitUnreachable || !strings.Contains(r.stderr, want) {
			t.Errorf("exit code %d, no %q in %s", r.code, want, r.stderr)
		}
	}
	pitwheel(t, b.environ, "send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A", "--wait").ok(t)
}

// What is known about the service explains why nobody handles a command.
func TestTransport_Unhandled(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	send := func(want string) {
		t.Helper()
		r := pitwheel(t, b.environ, "send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A")
		if r.code != exitUnreachable || !strings.Contains(r.stderr, "CREATE_USER") || !regexp.MustCompile(want).MatchString(r.stderr) {
			t.Errorf("exit code %d, no %q in %s", r.code, want, r.stderr)
		}
	}
	send("hint: no service runs on this Redis.*`pitwheel serve`.*PITWHEEL_NAMESPACE")
	store, err := redis.Open(t.Context(), redis.Config{URL: brokertest.Redis(t), Namespace: b.namespace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	record := func(address string) {
		t.Helper()
		if err := store.RecordTransport(t.Context(), transports.Transport{Kind: transports.RabbitMQ, Address: address}); err != nil {
			t.Fatal(err)
		}
	}
	record("rabbit.example.com:5672/other")
	send("hint: the service on this Redis uses RabbitMQ at rabbit.example.com:5672/other, and this command RabbitMQ at .*set PITWHEEL_AMQP_URL")
}
