package brokertest

import (
	"cmp"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis returns the URL of a real Redis: that of PITWHEEL_TEST_REDIS_URL, else
// the one on 127.0.0.1:6379, else one started for this test. Without any of them
// the test is skipped, or fails if PITWHEEL_TEST_NO_SKIP is set.
//
// The server may be shared: a test keeps to its own [Namespace] and removes it
// with [CleanRedis].
func Redis(t testing.TB) string {
	t.Helper()
	if url := os.Getenv("PITWHEEL_TEST_REDIS_URL"); url != "" {
		return url
	}
	const local = "redis://127.0.0.1:6379/0"
	if answers(local) {
		return local
	}
	return StartRedis(t).URL()
}

// CleanRedis removes every key of a namespace when the test ends.
func CleanRedis(t testing.TB, url, namespace string) {
	t.Helper()
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatalf("the Redis URL of the tests does not parse: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		c := redis.NewClient(opts)
		defer func() { _ = c.Close() }()
		keys := c.Scan(ctx, 0, namespace+":*", 1000).Iterator()
		for keys.Next(ctx) {
			c.Unlink(ctx, keys.Val())
		}
		removeWitness(namespace)
		if err := keys.Err(); err != nil {
			t.Logf("keys of %s are left in Redis: %v", namespace, err)
		}
	})
}

// removeWitness removes the files in which services of a namespace have kept the witness of
// their log.
func removeWitness(namespace string) {
	if home, err := os.UserHomeDir(); err == nil {
		files, _ := filepath.Glob(filepath.Join(cmp.Or(os.Getenv("XDG_STATE_HOME"), filepath.Join(home, ".local", "state")), "*", "witness-"+namespace+"-*"))
		for _, file := range files {
			_ = os.Remove(file)
		}
	}
}

// RedisServer is a Redis for one test, which may kill it and start it again.
type RedisServer struct {
	t    testing.TB
	addr string
	dir  string
	args []string
	cmd  *exec.Cmd
}

// StartRedis starts a redis-server on a free port, with its files in a directory
// of the test. It writes an append-only file, synced at every write, so that
// what was confirmed survives [RedisServer.Kill]; args are added to its command
// line and take precedence. Without redis-server the test is skipped.
func StartRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		Skip(t, "this test needs a Redis of its own: put redis-server on the PATH")
	}
	redis.SetLogger(silence{}) // It would write a line for each attempt to connect.
	s := &RedisServer{t: t, addr: freeAddr(t), dir: t.TempDir(), args: args}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Addr returns host and port of the server.
func (s *RedisServer) Addr() string { return s.addr }

// URL returns the server's URL.
func (s *RedisServer) URL() string { return "redis://" + s.addr + "/0" }

// Start starts the server on its previous port and files, and waits until it answers.
func (s *RedisServer) Start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--loglevel", "warning"}, s.args...)
	cmd := exec.Command("redis-server", args...)
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("redis-server did not start: %v", err)
	}
	s.cmd = cmd
	for deadline := time.Now().Add(2 * time.Minute); !answers(s.URL()); {
		if time.Now().After(deadline) {
			s.t.Fatalf("redis-server on %s did not answer within 2 minutes", s.addr)
		}
	}
}

// Kill ends the server at once, as a crash would.
func (s *RedisServer) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Backup copies the server's files while it runs, and returns the directory of the copy,
// for [RedisServer.Restore].
func (s *RedisServer) Backup() string {
	s.t.Helper()
	backup := filepath.Join(s.t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(s.dir)); err != nil {
		s.t.Fatalf("the files of redis-server were not copied: %v", err)
	}
	return backup
}

// Restore kills the server, puts a copy of its files back and starts it: what was written
// after the copy was made is gone.
func (s *RedisServer) Restore(backup string) {
	s.t.Helper()
	s.Kill()
	s.dir = s.t.TempDir()
	if err := os.CopyFS(s.dir, os.DirFS(backup)); err != nil {
		s.t.Fatalf("the files of redis-server were not put back: %v", err)
	}
	s.Start()
}

func answers(url string) bool {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return false
	}
	opts.DialTimeout, opts.ReadTimeout, opts.MaxRetries, opts.DialerRetries = time.Second, time.Second, -1, 1
	c := redis.NewClient(opts)
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return c.Ping(ctx).Err() == nil
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
