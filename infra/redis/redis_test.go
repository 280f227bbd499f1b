package redis_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/infra/redis/eventlog"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
)

func TestWrongSettingsAreFoundAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg   redis.Config
		names string
	}{
		"no URL":           {redis.Config{}, "URL"},
		"no scheme":        {redis.Config{URL: "secret@localhost"}, "URL"},
		"wrong scheme":     {redis.Config{URL: "http://u:secret@localhost"}, "URL"},
		"wrong port":       {redis.Config{URL: "redis://u:secret@localhost:x"}, "URL"},
		"wrong database":   {redis.Config{URL: "redis://u:secret@localhost/x"}, "URL"},
		"wrong option":     {redis.Config{URL: "redis://u:secret@localhost?foo=secret"}, "URL"},
		"odd password":     {redis.Config{URL: "redis://u:%zzsecret@localhost"}, "URL"},
		"cluster database": {redis.Config{URL: "redis://u:secret@a,b/3"}, "URL"},
		"namespace":        {redis.Config{URL: "redis://localhost", Namespace: "a{b}"}, "Namespace"},
		"partitions":       {redis.Config{URL: "redis://localhost", Partitions: -1}, "Partitions"},
		"outcome TTL":      {redis.Config{URL: "redis://localhost", OutcomeTTL: 500 * time.Microsecond}, "OutcomeTTL"},
		"inbox TTL":        {redis.Config{URL: "redis://localhost", InboxTTL: time.Millisecond}, "InboxTTL"},
		"durability":       {redis.Config{URL: "redis://localhost", Durability: "eternal"}, "Durability"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := redis.Open(t.Context(), c.cfg)
			if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), c.names) {
				t.Errorf("got %v; want CONFIG and %s", err, c.names)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("a secret is shown: %v", err)
			}
		})
	}
}

func TestPartitionsAreFixed(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		if n := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, Partitions: 4}).Partitions(); n != 4 {
			t.Errorf("%d partitions", n)
		}
		if n := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns}).Partitions(); n != 4 {
			t.Errorf("%d partitions when none are asked for", n)
		}
		_, err := redis.Open(t.Context(), redis.Config{URL: url, Namespace: ns, Partitions: 8})
		if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "4") || !strings.Contains(err.Error(), "8") {
			t.Errorf("got %v; want CONFIG and both numbers", err)
		}
	})
}

func TestRedisIsWaitedFor(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	var said bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = redis.Open(ctx, redis.Config{URL: "redis://u:secret@" + addr, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if events.CodeOf(err) != events.CodeUnavailable || !strings.Contains(err.Error(), addr) {
		t.Errorf("got %v; want UNAVAILABLE and the address", err)
	}
	if n := strings.Count(said.String(), "waiting for Redis"); n != 1 {
		t.Errorf("the log says %d times in a second that it waits:\n%s", n, said.String())
	}
	if strings.Contains(said.String()+err.Error(), "secret") {
		t.Error("a secret is shown")
	}
}

// Whoever only looks settles nothing, and what is no database is not waited for.
func TestGuest(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		guest := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, ReadOnly: true})
		if n := redistest.Must[[]events.Recorded](t)(guest.Read(t.Context(), nil, 10, 0)); len(n) > 0 {
			t.Errorf("an empty store has %d events", len(n))
		}
		if guest.Partitions() != eventlog.DefaultPartitions {
			t.Errorf("it has %d partitions", guest.Partitions())
		}
		redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, Partitions: 3})
		if n := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, ReadOnly: true}).Partitions(); n != 3 {
			t.Errorf("a guest takes it for a store of %d partitions", n)
		}
	})
}

func TestWhatRedisRefusesIsASetting(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	_, err := redis.Open(t.Context(), redis.Config{URL: "redis://" + srv.Addr() + "/99"})
	if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "DB index") {
		t.Errorf("got %v; want CONFIG", err)
	}
}

func TestWrongPasswordIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := redis.Open(ctx, redis.Config{URL: "redis://u:secret@" + srv.Addr()})
	if events.CodeOf(err) != events.CodeConfig || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v; want CONFIG without the password", err)
	}
}

func TestDurabilityIsProbed(t *testing.T) {
	t.Parallel()
	redistest.OnEmbedded(t, func(t *testing.T, url string) {
		_, err := redis.Open(t.Context(), redis.Config{URL: url, Durability: conn.DurabilityFast})
		if events.CodeOf(err) != events.CodeConfig {
			t.Errorf("an in-process Redis keeps nothing: %v", err)
		}
	})
	for name, c := range map[string]struct {
		server []string
		fast   bool
		strict bool
	}{
		"always":   {nil, true, true},
		"everysec": {[]string{"--appendfsync", "everysec"}, true, false},
		"no fsync": {[]string{"--appendfsync", "no"}, false, false},
		"no AOF":   {[]string{"--appendonly", "no"}, false, false},
		"evicting": {[]string{"--maxmemory-policy", "allkeys-lru"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := brokertest.StartRedis(t, c.server...)
			for durability, ok := range map[string]bool{conn.DurabilityFast: c.fast, conn.DurabilityStrict: c.strict, "": true} {
				s, err := redis.Open(t.Context(), redis.Config{URL: srv.URL(), Durability: durability})
				if err == nil {
					_ = s.Close()
				}
				if (err == nil) != ok || err != nil && events.CodeOf(err) != events.CodeConfig {
					t.Errorf("durability %q: %v", durability, err)
				}
			}
		})
	}
}
