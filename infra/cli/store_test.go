package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/infra/brokertest"
	"github.com/pitwheel/pitwheel/infra/embedded"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// testStore is a poison store, and queues on Redis Streams.
type testStore struct {
	t       *testing.T
	store   *redis.Store
	environ []string
}

// newTestStore makes one on an in-process Redis.
func newTestStore(t *testing.T) *testStore {
	t.Helper()
	srv, err := embedded.Start(embedded.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return openTestStore(t, srv.URL(), "", "PITWHEEL_DEV_REDIS_ADDR="+srv.Addr())
}

// newRealTestStore makes one on a real Redis.
func newRealTestStore(t *testing.T) *testStore {
	t.Helper()
	url, ns := brokertest.Redis(t), brokertest.Namespace(t)
	brokertest.CleanRedis(t, url, ns)
	return openTestStore(t, url, ns, "PITWHEEL_REDIS_URL="+url, "PITWHEEL_NAMESPACE="+ns)
}

func openTestStore(t *testing.T, url, ns string, environ ...string) *testStore {
	t.Helper()
	s, err := redis.Open(t.Context(), redis.Config{URL: url, Namespace: ns})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &testStore{t, s, append(environ, "USER=ada")}
}

// poison runs a verb.
func (b *testStore) poison(args ...string) result {
	b.t.Helper()
	return pitwheel(b.t, b.environ, append([]string{"poison"}, args...)...)
}

// poisonNumber makes a poison message of send-welcome.
func poisonNumber(n int) poison.Message {
	id := fmt.Sprintf("6f2b1f6e-52a1-4d0c-9a55-%012d", n)
	body := []byte(fmt.Sprintf(`{"id":%q,"type":"USER_CREATED","timestamp":"2026-01-24T10:00:00.000Z","data":{"userId":%q,"email":"u%d@example.com","name":"<%d>"}}`, id, id, n, n))
	at := time.Date(2026, 1, 24, 10, 0, 0, 0, time.UTC).Add(time.Duration(n/100) * time.Second)
	return poison.Message{
		ID: poison.ID("send-welcome", id), Handler: "send-welcome", Kind: "reaction", Queue: "notification-service", Topic: "user.events",
		Type: "USER_CREATED", Key: id, MessageID: id, CorrelationID: "story", Code: "INTERNAL", Reason: "no <mail>\nserver", Source: poison.FromRouter,
		Attempts: 5, Failures: 1, FirstFailedAt: at, LastFailedAt: at, Size: len(body), Body: body,
		Metadata: map[string]string{"type": "USER_CREATED", "aggregate_id": id, "correlation_id": "story"},
	}
}

// fill stores poison messages 0 to n-1, each changed by adapt if that is not nil.
func (b *testStore) fill(n int, adapt func(int, *poison.Message)) {
	b.t.Helper()
	var all sync.WaitGroup
	for w := range 16 {
		all.Go(func() {
			for i := w; i < n; i += 16 {
				l := poisonNumber(i)
				if adapt != nil {
					adapt(i, &l)
					l.ID, l.Size = poison.ID(l.Handler, l.MessageID), len(l.Body)
				}
				if err := b.store.StorePoison(b.t.Context(), l); err != nil {
					b.t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func (b *testStore) count() int {
	b.t.Helper()
	counts, err := b.store.CountPoison(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// listen begins to collect what comes out of a queue.
func (b *testStore) listen(queue string) *mailbox {
	b.t.Helper()
	sub, err := b.store.Subscriber(router.Subscription{Queue: queue})
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := sub.Subscribe(context.WithoutCancel(b.t.Context()), "")
	if err != nil {
		b.t.Fatal(err)
	}
	m := &mailbox{by: map[string][]*message.Message{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for msg := range out {
			m.mu.Lock()
			m.by[msg.UUID] = append(m.by[msg.UUID], msg)
			m.mu.Unlock()
			msg.Ack()
		}
	}()
	b.t.Cleanup(func() {
		_ = sub.Close()
		<-done
	})
	return m
}

// mailbox is what came out of a queue, by id.
type mailbox struct {
	mu sync.Mutex
	by map[string][]*message.Message
}

func (m *mailbox) ids() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.by)
}

func (m *mailbox) of(id string) []*message.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.by[id]
}

// poisonOf reads poison messages from JSON lines.
func poisonOf(t *testing.T, lines string) []poison.Message {
	t.Helper()
	var out []poison.Message
	for line := range strings.Lines(lines) {
		var l poison.Message
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, l)
	}
	return out
}

// has fails the test unless all texts are in a stream of output.
func has(t *testing.T, output string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(output, text) {
			t.Errorf("%q is not in:\n%s", text, output)
		}
	}
}

// matches fails the test unless a pattern is found in a stream of output.
func matches(t *testing.T, output, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(output) {
		t.Errorf("%q does not match:\n%s", pattern, output)
	}
}
