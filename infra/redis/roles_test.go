package redis_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// All of Redis is deleted under load, also while the broker holds up a batch: every event that
// is accepted afterwards arrives.
func TestRoles_FlushAllUnderLoad(t *testing.T) {
	t.Parallel()
	for _, hanging := range []bool{false, true} {
		t.Run(fmt.Sprint("hanging ", hanging), func(t *testing.T) {
			t.Parallel()
			s, b := redistest.OpenWith(t, redis.Config{URL: brokertest.StartRedis(t, "--appendfsync", "no").URL()}), newBus()
			r, _ := runRoles(t, s, b)
			redistest.Receive(t, r.Running())
			l := startLoad(t, s)
			redistest.Eventually(t, "the relay is at work", func() bool {
				at, err := s.Checkpoint(t.Context(), "relay")
				return err == nil && events.Cursor(nil).Behind(at) > 500
			})
			resume := func() {}
			if hanging {
				resume = b.hang(t)
			}
			if err := s.Client().FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			flushed, n := time.Now(), l.count()
			redistest.Eventually(t, "more is accepted", func() bool { return l.count() > n+300 })
			resume()
			redistest.Eventually(t, "more is accepted", func() bool { return l.count() > n+600 })
			l.end()
			ids, users := l.since(flushed)
			arrive(t, s, b, ids, users)
			redistest.Eventually(t, "all is well", func() bool { return len(r.Ready()) == 0 })
		})
	}
}

// Redis comes back with an older copy, while the broker holds up a batch.
func TestRoles_RestoredSnapshot(t *testing.T) {
	t.Parallel()
	srv := brokertest.StartRedis(t, "--appendonly", "no")
	s, b := redistest.OpenWith(t, redis.Config{URL: srv.URL()}), newBus()
	r, _ := runRoles(t, s, b)
	redistest.Receive(t, r.Running())
	l := startLoad(t, s)
	redistest.Eventually(t, "events are accepted", func() bool { return l.count() > 200 })
	if err := s.Client().Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	n := l.count()
	redistest.Eventually(t, "more is accepted", func() bool { return l.count() > n+200 })
	resume := b.hang(t)
	defer resume()
	n = l.count()
	redistest.Eventually(t, "more is accepted", func() bool { return l.count() > n+100 })
	srv.Kill()
	srv.Start()
	restored := time.Now()
	n = l.count()
	redistest.Eventually(t, "more is accepted", func() bool { return l.count() > n+600 })
	resume()
	l.end()
	ids, users := l.since(restored)
	arrive(t, s, b, ids, users)
}

// Checkpoint and cursor are beyond the end of a log that is the same one.
func TestRoles_LogEndsBeforeTheCheckpoint(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, b, ctx := redistest.OpenIn(t, url, ns), newBus(), t.Context()
		a := redistest.Decision(events.NewID(), events.NewID(), 0, 1)
		redistest.Must[events.Outcome](t)(s.Append(ctx, a))
		p := slices.Index(redistest.Must[events.Cursor](t)(s.End(ctx)), 1)
		epoch := redistest.Must[string](t)(s.Epoch(ctx))
		for _, key := range []string{ns + ":checkpoint:relay", ns + ":{projection:directory}:cursor"} {
			if err := s.Client().HSet(ctx, key, strconv.Itoa(p), 7, "log", epoch).Err(); err != nil {
				t.Fatal(err)
			}
		}
		r, log := runRoles(t, s, b)
		redistest.Eventually(t, "the relay is set back", func() bool {
			at, err := s.Checkpoint(ctx, "relay")
			return err == nil && at.At(p) == 1
		})
		want := fmt.Sprintf("partition %d was read up to 7 and ends at 1", p)
		redistest.Eventually(t, "readiness asks for a rebuild", func() bool {
			err := r.Ready()["directory"]
			return err != nil && strings.Contains(err.Error(), want) && strings.Contains(err.Error(), "projection rebuild directory")
		})
		if n := strings.Count(log.String(), want); n < 2 {
			t.Errorf("the log names what is lost %d times:\n%s", n, log)
		}
		next := redistest.Decision(a.AggregateID, events.NewID(), 1, 1)
		redistest.Must[events.Outcome](t)(s.Append(ctx, next))
		redistest.Eventually(t, "the next event arrives", func() bool {
			rows, err := s.Rows(ctx, "directory", []string{a.AggregateID})
			return b.missing([]string{next.Events[0].ID}) == 0 && err == nil && rows[0] != nil
		})
		if r.Ready()["directory"] == nil {
			t.Error("readiness no longer asks for a rebuild")
		}
		if err := s.DropProjection(ctx, "directory"); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, "it is rebuilt", func() bool { return len(r.Ready()) == 0 })
		if b.missing([]string{a.Events[0].ID}) == 0 {
			t.Error("what the relay had published before was published again")
		}
	})
}

// An entry that is not an event holds up its partition alone: relay and projection go on
// with the others, and readiness names it.
func TestRoles_BrokenPartition(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, b, ctx := redistest.OpenIn(t, url, ns), newBus(), t.Context()
		const key = ":{p3}:log"
		if err := s.Client().XAdd(ctx, &goredis.XAddArgs{Stream: ns + key, ID: "1-0", Values: []string{"not", "an event"}}).Err(); err != nil {
			t.Fatal(err)
		}
		s.Client().Set(ctx, ns+":{p3}:end", 1, 0)
		r, _ := runRoles(t, s, b)
		names := func(role string) bool {
			err := r.Ready()[role]
			return err != nil && strings.Contains(err.Error(), "partition 3 ") && strings.Contains(err.Error(), "1-0")
		}
		redistest.Eventually(t, "readiness names the entry", func() bool { return names("relay") && names("directory") })
		var ids, users, late []string
		for range 200 {
			before := redistest.Must[events.Cursor](t)(s.End(ctx))
			a := redistest.Decision(events.NewID(), events.NewID(), 0, 1)
			redistest.Must[events.Outcome](t)(s.Append(ctx, a))
			if redistest.Must[events.Cursor](t)(s.End(ctx)).At(3) != before.At(3) {
				late = append(late, a.Events[0].ID)
				continue
			}
			ids, users = append(ids, a.Events[0].ID), append(users, a.AggregateID)
		}
		arrive(t, s, b, ids, users)
		if b.missing(late) != len(late) || !names("relay") {
			t.Error("the partition was read on")
		}
		s.Client().XDel(ctx, ns+key, "1-0")
		redistest.Eventually(t, "the rest arrives once the entry is gone", func() bool { return b.missing(late) == 0 && len(r.Ready()) == 0 })
	})
}

// An instance that is cut off from the broker leaves the relay to one that is not, and takes
// it up again when that is gone.
func TestRoles_LeadershipGoesToWhoCanPublish(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, cut, b := redistest.OpenIn(t, url, ns), newBus(), newBus()
		first, _ := runRoles(t, s, cut)
		redistest.Receive(t, first.Running())
		cut.cutOff(events.Errorf(events.CodeUnavailable, "the broker is not reachable"))
		var ids []string
		appendOne := func() {
			a := redistest.Decision(events.NewID(), events.NewID(), 0, 1)
			redistest.Must[events.Outcome](t)(s.Append(t.Context(), a))
			ids = append(ids, a.Events[0].ID)
		}
		appendOne()
		redistest.Eventually(t, "readiness shows it", func() bool { return first.Ready()["relay"] != nil })
		runRoles(t, redistest.OpenIn(t, url, ns), b)
		redistest.Eventually(t, "the other instance publishes", func() bool { return b.missing(ids) == 0 })
		redistest.Eventually(t, "the first one is well without the role", func() bool { return len(first.Ready()) == 0 })
		cut.cutOff(nil)
		b.cutOff(events.Errorf(events.CodeUnavailable, "the broker is not reachable"))
		published := len(ids)
		appendOne()
		redistest.Eventually(t, "the first one publishes again", func() bool { return cut.missing(ids[published:]) == 0 })
	})
}
