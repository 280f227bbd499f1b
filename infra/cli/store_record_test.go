package cli

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/record"
	"github.com/pitwheel/pitwheel/infra/redis/transports"
)

// without returns an environment without a variable.
func without(environ []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(s string) bool { return strings.HasPrefix(s, name+"=") })
}

// storeOf opens the store of a namespace.
func storeOf(t *testing.T, url, namespace string) *redis.Store {
	t.Helper()
	s, err := redis.Open(t.Context(), redis.Config{URL: url, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// shown is what `store show` prints.
func shown(t *testing.T, environ []string) (v storeView) {
	t.Helper()
	r := pitwheel(t, environ, "store", "show", "-o", "json").ok(t)
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// An instance that has forgotten the address of RabbitMQ would take over the relay, and
// publish all events where nobody receives them.
func TestServe_RefusesStoreOfAnotherTransport(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	before := b.serve(t)
	forgetful := without(b.environ, "PITWHEEL_AMQP_URL")
	refused := func() {
		t.Helper()
		r := pitwheel(t, forgetful, "serve")
		for _, want := range []string{"PITWHEEL_AMQP_URL", "the store in Redis was made for RabbitMQ rabbit@", "this instance uses Redis Streams", "pitwheel store adopt"} {
			if r.code != exitUsage || !strings.Contains(r.stderr, want) {
				t.Errorf("exit code %d, no %q in %s", r.code, want, r.stderr)
			}
		}
		if strings.Contains(r.stderr, "guest") {
			t.Errorf("credentials are shown: %s", r.stderr)
		}
	}
	refused()
	view := shown(t, forgetful)
	if view.Transport != transports.RabbitMQ || !strings.Contains(view.Broker, "vhost /") || view.Namespace != b.namespace || view.LogID == "" || view.Partitions != 16 {
		t.Errorf("the store is %+v", view)
	}
	if code := before.end(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
	refused() // Also when nobody else runs.

	// On purpose.
	r := pitwheel(t, forgetful, "store", "adopt")
	if r.code != exitUsage || !strings.Contains(r.stderr, "stays behind: commands and events that wait in the queues of RabbitMQ rabbit@") || shown(t, forgetful) != view {
		t.Errorf("nobody has answered: exit code %d, %s", r.code, r.stderr)
	}
	pitwheel(t, forgetful, "store", "adopt", "-y").ok(t)
	after := shown(t, forgetful)
	if after.Transport != transports.RedisStreams || after.Broker != "" || after.LogID != view.LogID {
		t.Errorf("the store is %+v", after)
	}
	b.environ = forgetful
	b.serve(t)
	pitwheel(t, forgetful, "send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A", "--wait").ok(t)
}

func TestServe_RefusesStoreOfAnotherBroker(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	store := storeOf(t, brokertest.Redis(t), b.namespace)
	if _, err := store.ClaimStore(t.Context(), record.Use{Transport: transports.RabbitMQ, Broker: "rabbit@elsewhere vhost /", Namespace: b.namespace}); err != nil {
		t.Fatal(err)
	}
	r := pitwheel(t, b.environ, "serve")
	for _, want := range []string{"PITWHEEL_AMQP_URL", "made for RabbitMQ rabbit@elsewhere vhost /, and this instance uses RabbitMQ rabbit@", "pitwheel store adopt"} {
		if r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("exit code %d, no %q in %s", r.code, want, r.stderr)
		}
	}
	// Nor would a client's command be received.
	r = pitwheel(t, b.environ, "send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A")
	if r.code != exitUnreachable || !strings.Contains(r.stderr, "the service on this Redis uses RabbitMQ rabbit@elsewhere vhost /") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
	pitwheel(t, b.environ, "store", "adopt", "--yes").ok(t)
	b.serve(t)
}

// An instance that runs makes the record again after FLUSHALL, with another log id, and ends
// when the record names something else.
func TestServe_KeepsRecord(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	b := brokersAt(t, "", srv.URL())
	serve := b.serve(t)
	before := shown(t, b.environ)
	store := storeOf(t, srv.URL(), "unrelated")
	if err := store.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	serve.errs.Await(t, `Redis has lost the record of this store`)
	after := shown(t, b.environ)
	if after.LogID == before.LogID || after.LogID == "" || after.Transport != transports.RedisStreams || after.Partitions != before.Partitions {
		t.Errorf("the store was %+v and is %+v", before, after)
	}
	if _, err := storeOf(t, srv.URL(), b.namespace).AdoptStore(t.Context(), record.Use{Transport: transports.RabbitMQ, Broker: "rabbit@one vhost /", Namespace: b.namespace}); err != nil {
		t.Fatal(err)
	}
	serve.out.Await(t, `it has ended`)
	if code := <-serve.ended; code != exitUsage {
		t.Errorf("the exit code is %d", code)
	} else {
		serve.ended <- code
	}
	serve.errs.Await(t, `was made for RabbitMQ rabbit@one vhost /, and this instance uses Redis Streams`)
}

// The store of dev belongs to nobody else, and no command can reach it while dev does not run.
func TestDev_AdoptsItsStore(t *testing.T) {
	t.Parallel()
	b := realBrokers(t)
	data := filepath.Join(t.TempDir(), "data")
	for _, flags := range [][]string{nil, {"--amqp-url", b.amqpURL, "--namespace", b.namespace}, {"--namespace", b.namespace}, nil} {
		dev := startDev(t, append([]string{"--data", data, "--sample=false"}, flags...)...)
		pitwheel(t, dev.environ, append([]string{"send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A", "--wait"}, flags...)...).ok(t)
		if code := dev.end(t); code != exitOK {
			t.Errorf("%v: the exit code is %d", flags, code)
		}
	}
}

func TestStore_Missing(t *testing.T) {
	t.Parallel()
	url := brokertest.Redis(t)
	environ := []string{"PITWHEEL_REDIS_URL=" + url, "PITWHEEL_NAMESPACE=" + brokertest.Namespace(t)}
	for _, args := range [][]string{{"store", "show"}, {"store", "adopt", "-y"}} {
		if r := pitwheel(t, environ, args...); r.code != exitNotFound || !strings.Contains(r.stderr, "PITWHEEL_NAMESPACE") {
			t.Errorf("%v: exit code %d, %s", args, r.code, r.stderr)
		}
	}
}
