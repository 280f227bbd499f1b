package cli

import (
	"strings"
	"testing"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// A key that is in the way of one handler's queue stops that handler, which readiness names,
// and no other one.
func TestServe_KeyInTheWayOfOneQueue(t *testing.T) {
	t.Parallel()
	url := brokertest.Redis(t)
	b := brokersAt(t, "", url)
	brokertest.CleanRedis(t, url, b.namespace)
	store := storeOf(t, url, b.namespace)
	key := b.namespace + ":notification-service"
	if err := store.Client().Set(t.Context(), key, "in the way", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r := start(t, b.environ, "serve")
	r.http, r.environ = r.errs.Await(t, `"msg":"starting".*"http":"([^"]+)"`)[1], b.environ
	programtest.Eventually(t, "readiness to name only the handler", func() bool {
		_, page := r.get(t, "/readyz")
		return strings.HasPrefix(page, "send-welcome: ") && strings.Count(page, "\n") == 1 && strings.Contains(page, "the key "+key+" in Redis is not a stream")
	})
	r.errs.Await(t, `queue not declared, its handler receives nothing until that is fixed.*`+key)
	pitwheel(t, b.environ, "send", "CREATE_USER", "-f", "email=a@example.com", "-f", "name=A", "--wait").ok(t)
	programtest.Eventually(t, "the row of another handler", func() bool {
		return strings.Contains(pitwheel(t, b.environ, "projection", "rows", "user-directory", "-o", "json").ok(t).stdout, "a@example.com")
	})
	if err := store.Client().Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	r.errs.Await(t, `every handler is consuming`)
	programtest.Eventually(t, "the mail about an event from before", func() bool { return b.mails.Count() == 1 })
}
