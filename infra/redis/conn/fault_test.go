package conn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

func TestConn_SendsForgottenScriptsAgain(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	s, ctx := redistest.OpenWith(t, redis.Config{URL: srv.URL()}), t.Context()
	var writers sync.WaitGroup
	for w := range 10 {
		writers.Go(func() {
			id := fmt.Sprint("u", w)
			for v := range uint64(50) {
				if v%10 == 0 {
					s.Client().ScriptFlush(ctx)
				}
				if _, err := s.Append(ctx, redistest.Decision(id, events.NewID(), v, 1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	if n := events.Cursor(nil).Behind(redistest.Must[events.Cursor](t)(s.End(ctx))); n != 500 {
		t.Errorf("%d events; want 500", n)
	}
}

// A Redis out of memory answers readers all the time. OnBlocked is called once when it
// begins to refuse writes, and once when it accepts them again.
func TestConn_RedisOutOfMemory(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t)
	var begun, ended atomic.Int64
	s := redistest.OpenWith(t, redis.Config{URL: srv.URL(), OnBlocked: func(is bool) {
		if is {
			begun.Add(1)
		} else {
			ended.Add(1)
		}
	}})
	ctx := t.Context()
	limit := func(bytes string) {
		if err := s.Client().ConfigSet(ctx, "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	for range 3 {
		if _, err := s.Append(ctx, redistest.Decision("u", "c", 0, 1)); events.CodeOf(err) != events.CodeUnavailable || !strings.Contains(err.Error(), "accepts no writes") {
			t.Errorf("an append: %v", err)
		}
		if _, err := s.Load(ctx, "user", "u", ""); err != nil {
			t.Errorf("a load: %v", err)
		}
	}
	if s.Ready() == nil || begun.Load() != 1 || ended.Load() != 0 {
		t.Errorf("ready: %v; OnBlocked was called %d times with true and %d times with false", s.Ready(), begun.Load(), ended.Load())
	}
	limit("0")
	redistest.Eventually(t, "it is ready", func() bool { return s.Ready() == nil })
	if _, err := s.Append(ctx, redistest.Decision("u", "c", 0, 1)); err != nil {
		t.Errorf("an append: %v", err)
	}
	if begun.Load() != 1 || ended.Load() != 1 {
		t.Errorf("OnBlocked was called %d times with true and %d times with false", begun.Load(), ended.Load())
	}
}

func TestConn_CallsEndWithTheirContexts(t *testing.T) {
	t.Parallel()
	proxy := brokertest.NewProxy(t, brokertest.StartRedis(t).Addr())
	// The client itself would wait for an hour.
	s := redistest.OpenWith(t, redis.Config{URL: "redis://" + proxy.Addr() + "/0?read_timeout=1h"})
	defer proxy.Down() // Else Close would wait as well.
	proxy.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.Append(ctx, redistest.Decision("u", events.NewID(), 0, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an append to a server that does not answer: %v", err)
	}
}
