package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/programtest"
	"github.com/pitwheel/pitwheel/infra/rabbitmq"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
)

// TestServe_RedisIsPutBack has Redis put back to an earlier copy of its files, under
// commands for the same users: while the service runs, and again while it does not. No
// version of a user is published as two events, and what is gone is told exactly.
func TestServe_RedisIsPutBack(t *testing.T) {
	if testing.Short() {
		t.Skip("putting Redis back takes some seconds: run without -short")
	}
	t.Parallel()
	t.Run("RabbitMQ is the witness", func(t *testing.T) {
		t.Parallel()
		server := brokertest.StartRedis(t)
		b := brokersAt(t, brokertest.AMQP(t), server.URL())
		b.clean(t)
		broker, err := rabbitmq.Open(rabbitmq.Config{URL: b.amqpURL, Namespace: b.namespace})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = broker.Close() })
		redisIsPutBack(t, b, server, broker)
	})
	t.Run("a file is the witness", func(t *testing.T) {
		t.Parallel()
		server := brokertest.StartRedis(t)
		b := brokersAt(t, "", server.URL())
		b.environ = append(b.environ, "PITWHEEL_WITNESS_PATH="+filepath.Join(t.TempDir(), "state", "witness.json"))
		store, err := redis.Open(t.Context(), redis.Config{URL: server.URL(), Namespace: b.namespace})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		redisIsPutBack(t, b, server, store)
	})
}

func redisIsPutBack(t *testing.T, b *brokers, server *brokertest.RedisServer, transport router.Transport) {
	seen := watchVersions(t, transport)
	p := b.launch(t)
	users := make([]string, 10)
	for i := range users {
		o, err := p.insist(t.Context(), fmt.Sprint("user-", i))
		if err != nil {
			t.Fatal(err)
		}
		users[i] = o.AggregateID
	}

	change := changeEmails(p, users)
	change.await(t, 100)
	backup := server.Backup()
	change.await(t, 300)
	server.Restore(backup)
	change.await(t, 100)
	change.stop()
	// What the process itself had appended counts as well as what was published.
	first := gapsOf(t, b)
	if len(first) == 0 {
		t.Error("nothing is reported as gone")
	}
	programtest.Eventually(t, "readiness that tells of the gap", func() bool {
		code, body := p.get(t, "/readyz")
		return code == http.StatusOK && strings.Contains(body, fmt.Sprintf("%d events are gone", first[0].EventsGone))
	})
	_, page := p.get(t, "/metrics")
	if got := metric(page, "pitwheel_log_rolled_back"); got != gone(first) {
		t.Errorf("the metric is %v; want %v", got, gone(first))
	}

	// Everything that happened is published, and Redis put back while nothing runs.
	seen.settle(t)
	_ = p.Cmd.Process.Kill() // Exit waits for it.
	p.Exit(t)
	before := seen.highest()
	server.Restore(backup)
	end := endOf(t, b)
	p = b.launch(t)
	change = changeEmails(p, users)
	change.await(t, 100)
	change.stop()
	seen.settle(t)
	for _, g := range gapsOf(t, b) {
		if g.LogEnd != end.At(g.Partition) || seen.positions && g.Witnessed != before.At(g.Partition) || g.EventsGone != g.Witnessed-g.LogEnd {
			t.Errorf("the gap is told as %+v; partition ended at %d where %d was published", g, end.At(g.Partition), before.At(g.Partition))
		}
	}
	seen.check(t)

	left := pitwheel(t, b.environ, "log", "recover", "--accept", "-y", "-o", "json").ok(t)
	if strings.Contains(left.stdout, `"accepted": false`) {
		t.Errorf("not all is accepted: %s", left.stdout)
	}
	programtest.Eventually(t, "readiness without the gap", func() bool {
		code, body := p.get(t, "/readyz")
		return code == http.StatusOK && body == "ok\n"
	})
	if code := p.Stop(t); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
}

func gapsOf(t *testing.T, b *brokers) []gapView {
	t.Helper()
	r := pitwheel(t, b.environ, "log", "recover", "-o", "json")
	var gaps []gapView
	if err := json.Unmarshal([]byte(r.stdout), &gaps); err != nil || r.code != exitPartly {
		t.Fatalf("exit code %d: %s%s (%v)", r.code, r.stdout, r.stderr, err)
	}
	return gaps
}

func gone(gaps []gapView) (n float64) {
	for _, g := range gaps {
		n += float64(g.EventsGone)
	}
	return n
}

func endOf(t *testing.T, b *brokers) events.Cursor {
	t.Helper()
	var url string
	for _, v := range b.environ {
		if after, ok := strings.CutPrefix(v, "PITWHEEL_REDIS_URL="); ok {
			url = after
		}
	}
	store, err := redis.Open(t.Context(), redis.Config{URL: url, Namespace: b.namespace})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	end, err := store.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// changes are commands for some users, from many senders at once.
type changes struct {
	accepted atomic.Int64
	cancel   context.CancelFunc
	senders  sync.WaitGroup
}

func changeEmails(p *process, users []string) *changes {
	ctx, cancel := context.WithCancel(context.Background())
	c := &changes{cancel: cancel}
	for s := range 20 {
		c.senders.Go(func() {
			user := users[s%len(users)]
			for ctx.Err() == nil {
				id := events.NewID()
				o, err := p.post(ctx, "CHANGE_USER_EMAIL", id, fmt.Sprintf(`{"userId":%q,"email":"%s@example.com"}`, user, id))
				if err == nil && o.Status == events.StatusAccepted {
					c.accepted.Add(1)
				} else if err != nil {
					select {
					case <-time.After(20 * time.Millisecond):
					case <-ctx.Done():
					}
				}
			}
		})
	}
	return c
}

// await waits until n more are accepted.
func (c *changes) await(t *testing.T, n int64) {
	t.Helper()
	from := c.accepted.Load()
	programtest.Eventually(t, fmt.Sprint(n, " more commands accepted"), func() bool { return c.accepted.Load() >= from+n })
}

func (c *changes) stop() {
	c.cancel()
	c.senders.Wait()
}

// versions are the events that another service has received.
type versions struct {
	mu        sync.Mutex
	ids       map[string]string // user and version, or position → id
	twice     []string
	received  int
	positions bool // whether messages have their positions
	last      events.Cursor
}

func watchVersions(t *testing.T, transport router.Transport) *versions {
	t.Helper()
	v := &versions{ids: map[string]string{}}
	sub, err := transport.Subscriber(router.Subscription{Handler: "recorder", Topic: "user.events", Types: []string{"USER_CREATED", "USER_EMAIL_CHANGED"}, Queue: "recorder"})
	if err != nil {
		t.Fatal(err)
	}
	programtest.Eventually(t, "the queue of another service", func() bool { return sub.Declare(t.Context()) == nil })
	out, err := sub.Subscribe(context.WithoutCancel(t.Context()), "user.events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Close() })
	go func() {
		for msg := range out {
			v.add(msg)
			msg.Ack()
		}
	}()
	return v
}

func (v *versions) add(msg *message.Message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.received++
	keys := []string{msg.Metadata[events.MetaAggregateID] + " v" + msg.Metadata[events.MetaVersion]}
	if position := msg.Metadata[events.MetaLogPosition]; position != "" {
		v.positions = true
		keys = append(keys, msg.Metadata[events.MetaLogPartition]+"/"+position)
		var p int
		var at uint64
		_, _ = fmt.Sscan(msg.Metadata[events.MetaLogPartition]+" "+position, &p, &at)
		v.last = v.last.Clone(p + 1)
		v.last[p] = max(v.last[p], at)
	}
	for _, key := range keys {
		if id, ok := v.ids[key]; ok && id != msg.UUID {
			v.twice = append(v.twice, key)
		}
		v.ids[key] = msg.UUID
	}
}

// settle waits until nothing was received for a while.
func (v *versions) settle(t *testing.T) {
	t.Helper()
	last, since := -1, time.Now()
	programtest.Eventually(t, "everything to be received", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.received != last {
			last, since = v.received, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
}

func (v *versions) highest() events.Cursor {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last.Clone(0)
}

func (v *versions) check(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.twice) > 0 {
		t.Errorf("%d versions were published as two events, such as %s", len(v.twice), v.twice[0])
	}
	t.Logf("%d messages with %d versions and positions", v.received, len(v.ids))
}
