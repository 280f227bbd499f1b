package conn_test

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
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/conn"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

func TestOpen_WaitsForRedis(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said := firstWrite{do: func() { time.AfterFunc(300*time.Millisecond, cancel) }}
	_, err = redis.Open(ctx, redis.Config{URL: "redis://u:secret@" + addr, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if events.CodeOf(err) != events.CodeUnavailable || !strings.Contains(err.Error(), addr) {
		t.Errorf("got %v; want UNAVAILABLE and the address", err)
	}
	if n := strings.Count(said.String(), "waiting for Redis"); n != 1 {
		t.Errorf("the log says %d times that it waits:\n%s", n, said.String())
	}
	if strings.Contains(said.String()+err.Error(), "secret") {
		t.Error("a secret is shown")
	}
}

// firstWrite is a buffer that calls a function at the first write.
type firstWrite struct {
	bytes.Buffer
	do func()
}

func (w *firstWrite) Write(p []byte) (int, error) {
	if w.Len() == 0 {
		w.do()
	}
	return w.Buffer.Write(p)
}

func TestOpen_RefusedDatabase(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	_, err := redis.Open(t.Context(), redis.Config{URL: "redis://" + srv.Addr() + "/99"})
	if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "DB index") {
		t.Errorf("got %v; want CONFIG", err)
	}
	redistest.WantField(t, err, "URL")
}

func TestOpen_WrongPassword(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := redis.Open(ctx, redis.Config{URL: "redis://u:secret@" + srv.Addr()})
	if events.CodeOf(err) != events.CodeConfig || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v; want CONFIG without the password", err)
	}
	redistest.WantField(t, err, "URL")
}

func TestOpen_Durability(t *testing.T) {
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
				if err != nil {
					redistest.WantField(t, err, "Durability")
				}
			}
		})
	}
}
