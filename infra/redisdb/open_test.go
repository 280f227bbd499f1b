package redisdb_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redisdb"
)

func TestWrongSettingsAreFoundAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg   redisdb.Config
		names string
	}{
		"no URL":           {redisdb.Config{}, "PITWHEEL_REDIS_URL"},
		"no scheme":        {redisdb.Config{URL: "secret@localhost"}, "PITWHEEL_REDIS_URL"},
		"wrong scheme":     {redisdb.Config{URL: "http://u:secret@localhost"}, "PITWHEEL_REDIS_URL"},
		"wrong port":       {redisdb.Config{URL: "redis://u:secret@localhost:x"}, "PITWHEEL_REDIS_URL"},
		"wrong database":   {redisdb.Config{URL: "redis://u:secret@localhost/x"}, "PITWHEEL_REDIS_URL"},
		"wrong option":     {redisdb.Config{URL: "redis://u:secret@localhost?foo=secret"}, "PITWHEEL_REDIS_URL"},
		"odd password":     {redisdb.Config{URL: "redis://u:%zzsecret@localhost"}, "PITWHEEL_REDIS_URL"},
		"cluster database": {redisdb.Config{URL: "redis://u:secret@a,b/3"}, "PITWHEEL_REDIS_URL"},
		"namespace":        {redisdb.Config{URL: "redis://localhost", Namespace: "a{b}"}, "PITWHEEL_NAMESPACE"},
		"partitions":       {redisdb.Config{URL: "redis://localhost", Partitions: -1}, "partitions"},
		"outcome TTL":      {redisdb.Config{URL: "redis://localhost", OutcomeTTL: 500 * time.Microsecond}, "outcomes"},
		"inbox TTL":        {redisdb.Config{URL: "redis://localhost", InboxTTL: time.Millisecond}, "inbox"},
		"durability":       {redisdb.Config{URL: "redis://localhost", Durability: "eternal"}, "durability"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := redisdb.Open(t.Context(), c.cfg)
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
	onEach(t, func(t *testing.T, url string) {
		ns := brokertest.Namespace(t)
		brokertest.CleanRedis(t, url, ns)
		if n := openWith(t, redisdb.Config{URL: url, Namespace: ns, Partitions: 4}).Partitions(); n != 4 {
			t.Errorf("%d partitions", n)
		}
		if n := openWith(t, redisdb.Config{URL: url, Namespace: ns}).Partitions(); n != 4 {
			t.Errorf("%d partitions when none are asked for", n)
		}
		_, err := redisdb.Open(t.Context(), redisdb.Config{URL: url, Namespace: ns, Partitions: 8})
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
	_, err = redisdb.Open(ctx, redisdb.Config{URL: "redis://u:secret@" + addr, Logger: slog.New(slog.NewTextHandler(&said, nil))})
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
	onEach(t, func(t *testing.T, url string) {
		ns := brokertest.Namespace(t)
		brokertest.CleanRedis(t, url, ns)
		guest := openWith(t, redisdb.Config{URL: url, Namespace: ns, Guest: true})
		if n := must[[]events.Recorded](t)(guest.Read(t.Context(), nil, 10, 0)); len(n) > 0 {
			t.Errorf("an empty store has %d events", len(n))
		}
		if guest.Partitions() != redisdb.DefaultPartitions {
			t.Errorf("it has %d partitions", guest.Partitions())
		}
		openWith(t, redisdb.Config{URL: url, Namespace: ns, Partitions: 3})
		if n := openWith(t, redisdb.Config{URL: url, Namespace: ns, Guest: true}).Partitions(); n != 3 {
			t.Errorf("a guest takes it for a store of %d partitions", n)
		}
	})
}

func TestWhatRedisRefusesIsASetting(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	_, err := redisdb.Open(t.Context(), redisdb.Config{URL: "redis://" + srv.Addr() + "/99"})
	if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "DB index") {
		t.Errorf("got %v; want CONFIG", err)
	}
}

func TestWrongPasswordIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := redisdb.Open(ctx, redisdb.Config{URL: "redis://u:secret@" + srv.Addr()})
	if events.CodeOf(err) != events.CodeConfig || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v; want CONFIG without the password", err)
	}
}

func TestDurabilityIsProbed(t *testing.T) {
	t.Parallel()
	onEmbedded(t, func(t *testing.T, url string) {
		_, err := redisdb.Open(t.Context(), redisdb.Config{URL: url, Durability: redisdb.DurabilityFast})
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
			for durability, ok := range map[string]bool{redisdb.DurabilityFast: c.fast, redisdb.DurabilityStrict: c.strict, "": true} {
				s, err := redisdb.Open(t.Context(), redisdb.Config{URL: srv.URL(), Durability: durability})
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
