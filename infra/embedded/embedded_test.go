package embedded_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, addr string) *embedded.Server {
	t.Helper()
	srv, err := embedded.Start(embedded.Config{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

func TestServesRedisOverTCP(t *testing.T) {
	t.Parallel()
	srv := start(t, "127.0.0.1:0")
	opts, err := redis.ParseURL(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(opts)
	defer func() { _ = c.Close() }()
	// Keys expire by the clock, without anybody's help.
	if err := c.Set(t.Context(), "k", "v", 50*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(5 * time.Second)
	for c.Get(t.Context(), "k").Err() == nil {
		select {
		case <-deadline:
			t.Fatal("a key with a time to live of 50 ms is there after 5 s")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	first := start(t, "127.0.0.1:0")
	_, err := embedded.Start(embedded.Config{Addr: first.Addr()})
	if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "PITWHEEL_DEV_REDIS_ADDR") || !strings.Contains(err.Error(), first.Addr()) {
		t.Errorf("got %v; want CONFIG, the setting and the address", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, first.Addr()) // It is free again at once.
}

func TestWrongAddress(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"localhost", "127.0.0.1:x", "256.0.0.1:6389"} {
		if _, err := embedded.Start(embedded.Config{Addr: addr}); events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: got %v; want CONFIG and the address", addr, err)
		}
	}
}
