package conn_test

import (
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// admin returns a client for the configuration of a server.
func admin(t *testing.T, srv *brokertest.RedisServer) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: srv.Addr()})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Under allkeys-lru, 8,000 accepted commands left 670 indexes; volatile-lru drops outcomes
// and leases, which expire.
func TestOpen_RefusesEviction(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	ctl := admin(t, srv)
	// A managed Redis may forbid CONFIG.
	if err := ctl.Do(t.Context(), "acl", "setuser", "managed", "on", ">secret", "~*", "&*", "+@all", "-config").Err(); err != nil {
		t.Fatal(err)
	}
	for _, policy := range []string{"allkeys-lru", "volatile-lru", "volatile-ttl", "allkeys-random"} {
		if err := ctl.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(); err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{srv.URL(), "redis://managed:secret@" + srv.Addr()} {
			for _, durability := range []string{"", conn.DurabilityFast, conn.DurabilityStrict} {
				if durability != "" && url != srv.URL() {
					continue // What is required cannot be asked.
				}
				s, err := redis.Open(t.Context(), redis.Config{URL: url, Durability: durability})
				if err == nil {
					_ = s.Close()
				}
				redistest.WantField(t, err, "URL")
				if err == nil || !strings.Contains(err.Error(), policy) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s with durability %q: %v", policy, durability, err)
				}
			}
		}
		// One can still look what is left.
		redistest.OpenWith(t, redis.Config{URL: srv.URL(), ReadOnly: true})
	}
}

func TestConn_EvictionWhileRunning(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	ctl, s := admin(t, srv), redistest.OpenWith(t, redis.Config{URL: srv.URL()})
	if err := s.Ready(); err != nil {
		t.Fatal(err)
	}
	if err := ctl.ConfigSet(t.Context(), "maxmemory-policy", "volatile-lru").Err(); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, "it is not ready", func() bool { return s.Ready() != nil })
	if err := s.Ready(); events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "maxmemory-policy volatile-lru") {
		t.Errorf("ready: %v", err)
	}
	if err := ctl.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, "it is ready", func() bool { return s.Ready() == nil })
}
