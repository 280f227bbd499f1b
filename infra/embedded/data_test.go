package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// startIn starts a server with a data directory, and a client of it.
func startIn(t *testing.T, dir string) (*embedded.Server, *redis.Client) {
	t.Helper()
	srv, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: srv.Addr(), Protocol: 2})
	t.Cleanup(func() {
		_ = c.Close()
		_ = srv.Close()
	})
	return srv, c
}

// closed ends a server, whose data must be saved.
func closed(t *testing.T, srv *embedded.Server) {
	t.Helper()
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
}

// values returns everything that a server holds, as a client sees it.
func values(t *testing.T, c *redis.Client) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, args := range [][]any{
		{"keys", "*"}, {"get", "text"}, {"get", "binary"}, {"lrange", "list", 0, -1}, {"hgetall", "hash"}, {"smembers", "set"},
		{"zrange", "zset", 0, -1, "withscores"}, {"xrange", "stream", "-", "+"}, {"xrange", "{p1}:log", "-", "+"}, {"get", "expiring"},
		{"xpending", "stream", "g"}, {"xpending", "stream", "read"}, {"xrange", "empty", "-", "+"}, {"xpending", "empty", "g"},
	} {
		reply, err := c.Do(context.Background(), args...).Result()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		all[fmt.Sprint(args...)] = reply
	}
	return all
}

func TestServer_Dir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	first, c := startIn(t, dir)
	if !first.Fresh() {
		t.Error("a new directory is not fresh")
	}
	for _, args := range [][]any{
		{"set", "text", "v"}, {"set", "binary", "\r\n$3\r\n\x00\xff"}, {"set", "expiring", "v", "px", 3_600_000},
		{"set", "heartbeat", "v", "px", 4000}, {"rpush", "list", "b", "a", "b"}, {"hset", "hash", "f", "1", "", ""}, {"sadd", "set", "x", "y"},
		{"zadd", "zset", 1769248800000.0, "late", 0.1, "early", -1e300, "first"},
		{"xadd", "{p1}:log", "1-0", "f", "v"}, {"xadd", "{p1}:log", "2-0", "f", "v", "f", "w"},
		{"xadd", "stream", "1-1", "n", "1"}, {"xadd", "stream", "1-2", "n", "2"}, {"xadd", "stream", "2-0", "n", "3"}, {"xadd", "stream", "3-0", "n", "4"},
		{"xgroup", "create", "stream", "g", "0"}, {"xgroup", "create", "stream", "read", "3-0"}, {"xgroup", "create", "empty", "g", "7-1", "mkstream"},
		{"xreadgroup", "group", "g", "one", "count", 2, "streams", "stream", ">"}, {"xreadgroup", "group", "g", "two", "count", 1, "streams", "stream", ">"},
		{"xack", "stream", "g", "1-1"},
	} {
		if err := c.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	if err := c.Do(t.Context(), "del", "heartbeat").Err(); err != nil {
		t.Fatal(err)
	}
	want := values(t, c)
	if err := c.Do(t.Context(), "set", "heartbeat", "v", "px", 4000).Err(); err != nil {
		t.Fatal(err)
	}
	closed(t, first)

	second, c := startIn(t, dir)
	if second.Fresh() {
		t.Error("a directory with data is fresh")
	}
	if diff := cmp.Diff(want, values(t, c)); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
	if ttl := c.PTTL(t.Context(), "expiring").Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("a key with an hour to live has %s", ttl)
	}
	// What was delivered and not acknowledged is delivered again, to its consumer.
	got, err := c.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: "one", Streams: []string{"stream", "0"}}).Result()
	if err != nil || len(got) != 1 || len(got[0].Messages) != 1 || got[0].Messages[0].ID != "1-2" {
		t.Errorf("the pending entries are %v %v", got, err)
	}
	got, err = c.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: "one", Streams: []string{"stream", ">"}}).Result()
	if err != nil || len(got) != 1 || len(got[0].Messages) != 1 || got[0].Messages[0].ID != "3-0" {
		t.Errorf("the new entries are %v %v", got, err)
	}
}

// TestServer_DirWhileRunning reads what a server has saved that is not closed, as after a
// crash.
func TestServer_DirWhileRunning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, c := startIn(t, dir)
	file := filepath.Join(dir, "redis.data")
	set := func(value string) {
		t.Helper()
		if err := c.Set(t.Context(), "k", value, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		programtest.Eventually(t, "snapshot with "+value, func() bool {
			data, err := os.ReadFile(file)
			return err == nil && bytes.Contains(data, []byte(value))
		})
	}
	set("first")
	set("second")
	copied := t.TempDir()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, "redis.data"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, other := startIn(t, copied)
	if got := other.Get(t.Context(), "k").Val(); got != "second" {
		t.Errorf("the snapshot has %q", got)
	}
}

// TestServer_DirStop stops a server that clients are writing to: what they were told to be
// done is kept.
func TestServer_DirStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv, _ := startIn(t, dir)
	const clients = 8
	var writing sync.WaitGroup
	done, begun := [clients]int64{}, make(chan struct{}, clients)
	for i := range clients {
		c := redis.NewClient(&redis.Options{Addr: srv.Addr(), MaxRetries: -1})
		defer func() { _ = c.Close() }()
		writing.Go(func() {
			for {
				v, err := c.Incr(context.Background(), fmt.Sprint("counter", i)).Result()
				if err != nil {
					break // It is stopped.
				}
				if done[i] = v; v == 10 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range clients {
		<-begun
	}
	closed(t, srv)
	writing.Wait()
	_, c := startIn(t, dir)
	for i, want := range done {
		if got, err := c.Get(t.Context(), fmt.Sprint("counter", i)).Int64(); err != nil || got < want {
			t.Errorf("client %d was told %d, and there is %d %v", i, want, got, err)
		}
	}
}

// TestServer_DirUnchanged saves nothing while nothing changes.
func TestServer_DirUnchanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, c := startIn(t, dir)
	for _, args := range [][]any{
		{"set", "k", "v", "px", 3_600_000}, {"hset", "h", "a", 1, "b", 2, "c", 3}, {"sadd", "s", "a", "b", "c"}, {"xgroup", "create", "x", "g1", "0", "mkstream"},
		{"xgroup", "create", "x", "g2", "0"}, {"xgroup", "create", "x", "g3", "0"}, {"xadd", "x", "1-0", "f", "v"}, {"xreadgroup", "group", "g1", "c", "streams", "x", ">"},
	} {
		if err := c.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	file := filepath.Join(dir, "redis.data")
	programtest.Eventually(t, "snapshot", func() bool {
		data, err := os.ReadFile(file)
		return err == nil && bytes.Contains(data, []byte("g3")) && bytes.Contains(data, []byte("$1\r\nc"))
	})
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, first) // It would save once more.
	after, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if !after.ModTime().Equal(before.ModTime()) {
		t.Error("the same data was written again")
	}
}

// TestStart_Dir starts in directories that cannot be used. Nothing in them changes.
func TestStart_Dir(t *testing.T) {
	t.Parallel()
	inUse := t.TempDir()
	startIn(t, inUse)
	written := func(text string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "redis.data"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	kept := t.TempDir()
	srv, c := startIn(t, kept)
	if err := c.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	closed(t, srv)
	saved, err := os.ReadFile(filepath.Join(kept, "redis.data"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(saved)
	isFile := filepath.Join(written("x"), "redis.data")
	for _, tt := range []struct{ name, dir, want string }{
		{"in use", inUse, "in use by another process"},
		{"a file", isFile, "cannot be made"},
		{"empty", written(""), "not a data file"},
		{"foreign", written("hello\n"), "not a data file"},
		{"newer", written(strings.Replace(text, "data 1\n", "data 2\n", 1)), `version "2"`},
		{"damaged", written(strings.Replace(text, "value", "valve", 1)), "damaged"},
		{"cut off", written(text[:len(text)-3]), "damaged"},
		{"unknown type", written("pitwheel dev data 1\n346f6bca\n$1\r\nk\r\n$4\r\nnone\r\n$1\r\n0\r\n$0\r\n\r\n"), "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(tt.dir, "redis.data")
			before, _ := os.ReadFile(file)
			srv, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0", Dir: tt.dir})
			if err == nil {
				t.Fatal("it started", srv.Close())
			}
			var e *events.Error
			if !errors.As(err, &e) || e.Code != events.CodeConfig || e.Field != "Dir" || !strings.Contains(e.Message, tt.want) || !strings.Contains(e.Message, tt.dir) {
				t.Errorf("got %#v; want CONFIG, Dir, %s and %q", err, tt.dir, tt.want)
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(before, after) && tt.dir != inUse {
				t.Error("the file has changed")
			}
		})
	}
}

// TestServer_DirLost reports at the end that the data could not be saved.
func TestServer_DirLost(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "gone")
	srv, c := startIn(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := srv.Close(); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v; want an error with the directory", err)
	}
}
