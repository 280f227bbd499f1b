package embedded_test

import (
	"errors"
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

func TestServer_TCP(t *testing.T) {
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
	deadline := time.After(time.Minute)
	for c.Get(t.Context(), "k").Err() == nil {
		select {
		case <-deadline:
			t.Fatal("a key with a time to live of 50 ms is still there")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestStart_AddressInUse(t *testing.T) {
	t.Parallel()
	first := start(t, "127.0.0.1:0")
	_, err := embedded.Start(embedded.Config{Addr: first.Addr()})
	var e *events.Error
	if !errors.As(err, &e) || e.Code != events.CodeConfig || e.Field != "Addr" || !strings.Contains(e.Message, first.Addr()) {
		t.Errorf("got %v; want CONFIG, the field and the address", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, first.Addr()) // It is free again at once.
}

func TestStart_WrongAddress(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"localhost", "127.0.0.1:x", "256.0.0.1:6389"} {
		if _, err := embedded.Start(embedded.Config{Addr: addr}); events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: got %v; want CONFIG and the address", addr, err)
		}
	}
}

// XREAD of the log is answered by this package, that of any other stream by
// miniredis; a client sees no difference.
func TestServer_XRead(t *testing.T) {
	t.Parallel()
	srv := start(t, "127.0.0.1:0")
	c := redis.NewClient(&redis.Options{Addr: srv.Addr(), Protocol: 2})
	defer func() { _ = c.Close() }()
	ctx := t.Context()
	for _, key := range []string{"{p1}:log", "other"} {
		add := func(id string) {
			t.Helper()
			if err := c.XAdd(ctx, &redis.XAddArgs{Stream: key, ID: id, Values: []any{"f", id}}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		read := func(after string, count int64, block time.Duration) (ids []string) {
			t.Helper()
			got, err := c.XRead(ctx, &redis.XReadArgs{Streams: []string{"none" + key, key, "0", after}, Count: count, Block: block}).Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				t.Fatal(err)
			}
			for _, s := range got {
				for _, m := range s.Messages {
					if s.Stream != key || m.Values["f"] != m.ID {
						t.Errorf("%s: %v", s.Stream, m)
					}
					ids = append(ids, m.ID)
				}
			}
			return ids
		}
		if ids := read("0", 10, 30*time.Millisecond); len(ids) != 0 {
			t.Errorf("%s: an empty stream has %v", key, ids)
		}
		woken := make(chan []string)
		go func() { woken <- read("0", 10, 10*time.Second) }()
		add("1-0")
		if ids := <-woken; len(ids) != 1 {
			t.Errorf("%s: a waiting reader got %v", key, ids)
		}
		add("2-0")
		add("3-0")
		for after, want := range map[string]string{"0": "1-0 2-0", "1": "2-0 3-0", "2-0": "3-0", "3": ""} {
			if ids := strings.Join(read(after, 2, -1), " "); ids != want {
				t.Errorf("%s after %s: %s; want %s", key, after, ids, want)
			}
		}
	}
	second := redis.NewClient(&redis.Options{Addr: srv.Addr(), DB: 1})
	defer func() { _ = second.Close() }()
	if err := second.Ping(ctx).Err(); err == nil {
		t.Error("database 1 is there")
	}
}
