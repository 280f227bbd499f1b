package redis_test

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// A server that cannot confirm that something is durable is refused, with the ways out.
func TestOpen_PublishDurable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server []string
		ok     bool
	}{
		"always":   {nil, true},
		"everysec": {[]string{"--appendfsync", "everysec"}, false}, // Redis 7.0 has no WAITAOF.
		"no AOF":   {[]string{"--appendonly", "no"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := brokertest.StartRedis(t, c.server...)
			for _, readOnly := range []bool{true, false} {
				s, err := redis.Open(t.Context(), redis.Config{URL: srv.URL(), Publish: redis.PublishDurable, ReadOnly: readOnly})
				if err == nil {
					_, err = s.Append(t.Context(), redistest.Decision(events.NewID(), events.NewID(), 0, 1))
					_ = s.Close()
				}
				if c.ok && err != nil {
					t.Error(err)
				}
				if c.ok {
					continue
				}
				if v := redistest.Must[string](t)(serverVersion(t, srv)); !strings.HasPrefix(v, "7.0") && !strings.HasPrefix(v, "6") && name == "everysec" {
					t.Skipf("Redis %s has WAITAOF", v)
				}
				redistest.WantField(t, err, "Publish")
				var e *events.Error
				for _, way := range []string{"appendfsync always", "7.2", "a replica", "publish=now"} {
					if !errors.As(err, &e) || !strings.Contains(e.Hint, way) {
						t.Errorf("no %q in %#v", way, e)
					}
				}
			}
			redistest.OpenWith(t, redis.Config{URL: srv.URL(), Publish: redis.PublishNow})
		})
	}
	redistest.OnEmbedded(t, func(t *testing.T, url string) {
		_, err := redis.Open(t.Context(), redis.Config{URL: url, Publish: redis.PublishDurable})
		redistest.WantField(t, err, "Publish")
	})
}

func serverVersion(t *testing.T, srv *brokertest.RedisServer) (string, error) {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: srv.Addr()})
	defer func() { _ = c.Close() }()
	info, err := c.Info(t.Context(), "server").Result()
	_, after, _ := strings.Cut(info, "redis_version:")
	version, _, _ := strings.Cut(after, "\r\n")
	return version, err
}

// replicated starts a primary and its replica, and waits until it is connected.
func replicated(t *testing.T) (primary, replica *brokertest.RedisServer) {
	t.Helper()
	primary = brokertest.StartRedis(t, "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	replica = brokertest.StartRedis(t, "--replicaof", host+" "+port)
	awaitReplica(t, primary)
	return primary, replica
}

func awaitReplica(t *testing.T, primary *brokertest.RedisServer) {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: primary.Addr()})
	defer func() { _ = c.Close() }()
	redistest.Eventually(t, "the replica is connected", func() bool {
		return strings.Contains(c.Info(t.Context(), "replication").Val(), "state=online")
	})
}

// While no replica confirms, no command is accepted, nobody learns of an outcome, and
// nothing is read from the log. When one is back, everything is as if it had been there.
func TestStore_PublishesOnlyWhatIsOnAReplica(t *testing.T) {
	t.Parallel()
	primary, replica := replicated(t)
	cfg, ctx := redis.Config{URL: primary.URL(), Namespace: "ns", Publish: redis.PublishDurable}, t.Context()
	s := redistest.OpenWith(t, cfg)
	read := func() ([]events.Recorded, error) { return s.Read(ctx, nil, 0, time.Millisecond) }
	first, second := redistest.Decision("u", "c1", 0, 1), redistest.Decision("u", "c2", 1, 1)
	if o, err := s.Append(ctx, first); err != nil || o.Status != events.StatusAccepted {
		t.Fatalf("%+v, %v", o, err)
	}
	if found := redistest.Must[[]events.Recorded](t)(read()); len(found) != 1 {
		t.Errorf("%d events are read; want 1", len(found))
	}

	replica.Kill()
	receipt := events.Receipt{Aggregate: "user", AggregateID: "u", CommandID: "c2"}
	for range 2 { // The second time it is stored already.
		if o, err := s.Append(ctx, second); events.CodeOf(err) != events.CodeUnavailable || !retryable(err) {
			t.Errorf("a command whose events are not durable: %+v, %v", o, err)
		}
	}
	if found, err := read(); events.CodeOf(err) != events.CodeUnavailable || len(found) > 0 {
		t.Errorf("%d events are read that are not durable, %v", len(found), err)
	}
	if o, err := s.Outcomes(ctx, []events.Receipt{receipt}); events.CodeOf(err) != events.CodeUnavailable {
		t.Errorf("the outcome of a command that is not durable: %+v, %v", o, err)
	}
	// Others are not held up by what waits.
	if h, err := s.Load(ctx, "user", "u", ""); err != nil || len(h.Events) != 2 {
		t.Errorf("loading: %d events, %v", len(h.Events), err)
	}
	redistest.Eventually(t, "it is not ready", func() bool { return s.Ready() != nil })
	redistest.WantField(t, s.Ready(), "Publish")

	replica.Start()
	awaitReplica(t, primary)
	redistest.Eventually(t, "it is ready", func() bool { return s.Ready() == nil })
	if o, err := s.Append(ctx, second); err != nil || !o.Repeated {
		t.Errorf("the command sent again: %+v, %v", o, err)
	}
	if found := redistest.Must[[]events.Recorded](t)(read()); len(found) != 2 {
		t.Errorf("%d events are read; want 2", len(found))
	}
	if o := redistest.Must[[]events.Outcome](t)(s.Outcomes(ctx, []events.Receipt{receipt})); o[0].Status != events.StatusAccepted {
		t.Errorf("the outcome is %+v", o)
	}
}

func retryable(err error) bool {
	var e *events.Error
	return errors.As(err, &e) && e.Retryable
}

// What was written before Redis died, and was not confirmed, is not accepted because Redis
// is back without it.
func TestStore_PublishDurable_RedisDies(t *testing.T) {
	t.Parallel()
	primary, replica := replicated(t)
	s := redistest.OpenWith(t, redis.Config{URL: primary.URL(), Namespace: "ns", Publish: redis.PublishDurable})
	replica.Kill()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), redistest.Decision("u", "c", 0, 1))
		ended <- err
	}()
	ctl := goredis.NewClient(&goredis.Options{Addr: primary.Addr()})
	defer func() { _ = ctl.Close() }()
	redistest.Eventually(t, "an append that waits", func() bool {
		return strings.Contains(ctl.Info(t.Context(), "clients").Val(), "blocked_clients:1") && ctl.Exists(t.Context(), "ns:touch").Val() == 1
	})
	primary.Kill()
	primary.Start()
	replica.Start()
	if err := <-ended; events.CodeOf(err) != events.CodeUnavailable {
		// It may have been sent again, and then is there.
		if n := events.Cursor(nil).Behind(redistest.Must[events.Cursor](t)(s.End(t.Context()))); err != nil || n != 1 {
			t.Errorf("got %v, and %d events are in the log", err, n)
		}
	}
}

// fakeWaitAOF is an in-process Redis that claims to write an append-only file.
func fakeWaitAOF(t *testing.T) (url string, onDisk *atomic.Int64) {
	t.Helper()
	m := miniredis.RunT(t)
	onDisk = new(atomic.Int64)
	onDisk.Store(1)
	for name, answer := range map[string]func(*server.Peer, []string){
		"CONFIG": func(c *server.Peer, args []string) {
			c.WriteStrings([]string{args[1], map[string]string{"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}[args[1]]})
		},
		"WAITAOF": func(c *server.Peer, _ []string) {
			c.WriteLen(2)
			c.WriteInt(int(onDisk.Load()))
			c.WriteInt(0)
		},
	} {
		if err := m.Server().Register(name, func(c *server.Peer, _ string, args []string) { answer(c, args) }); err != nil {
			t.Fatal(err)
		}
	}
	return "redis://" + m.Addr(), onDisk
}

// The Redis of the tests may be too old for WAITAOF, so that this one only answers like it.
func TestStore_PublishDurable_WaitAOF(t *testing.T) {
	t.Parallel()
	url, onDisk := fakeWaitAOF(t)
	s, ctx := redistest.OpenWith(t, redis.Config{URL: url, Publish: redis.PublishDurable}), t.Context()
	if _, err := s.Append(ctx, redistest.Decision("u", "c1", 0, 1)); err != nil {
		t.Fatal(err)
	}
	onDisk.Store(0)
	if _, err := s.Append(ctx, redistest.Decision("u", "c2", 1, 1)); events.CodeOf(err) != events.CodeUnavailable {
		t.Errorf("what is not on disk: %v", err)
	}
	if found, err := s.Read(ctx, nil, 0, time.Millisecond); events.CodeOf(err) != events.CodeUnavailable {
		t.Errorf("%d events are read that are not on disk, %v", len(found), err)
	}
	onDisk.Store(1)
	if found := redistest.Must[[]events.Recorded](t)(s.Read(ctx, nil, 0, time.Millisecond)); len(found) != 2 {
		t.Errorf("%d events are read; want 2", len(found))
	}
}
