package redis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/eventlog"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
)

func TestOpen_WrongSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg   redis.Config
		says  string
		field string
	}{
		"no URL":           {redis.Config{}, "Redis URL", "URL"},
		"no scheme":        {redis.Config{URL: "secret@localhost"}, "Redis URL", "URL"},
		"wrong scheme":     {redis.Config{URL: "http://u:secret@localhost"}, "Redis URL", "URL"},
		"wrong port":       {redis.Config{URL: "redis://u:secret@localhost:x"}, "Redis URL", "URL"},
		"wrong database":   {redis.Config{URL: "redis://u:secret@localhost/x"}, "Redis URL", "URL"},
		"wrong option":     {redis.Config{URL: "redis://u:secret@localhost?foo=secret"}, "Redis URL", "URL"},
		"odd password":     {redis.Config{URL: "redis://u:%zzsecret@localhost"}, "Redis URL", "URL"},
		"cluster database": {redis.Config{URL: "redis://u:secret@a,b/3"}, "Redis URL", "URL"},
		"namespace":        {redis.Config{URL: "redis://localhost", Namespace: "a{b}"}, "namespace", "Namespace"},
		"partitions":       {redis.Config{URL: "redis://localhost", Partitions: -1}, "partitions", "Partitions"},
		"outcome TTL":      {redis.Config{URL: "redis://localhost", OutcomeTTL: 500 * time.Microsecond}, "outcomes", "OutcomeTTL"},
		"inbox TTL":        {redis.Config{URL: "redis://localhost", InboxTTL: time.Millisecond}, "inbox", "InboxTTL"},
		"durability":       {redis.Config{URL: "redis://localhost", Durability: "eternal"}, "durability", "Durability"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := redis.Open(t.Context(), c.cfg)
			if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v; want CONFIG and %q", err, c.says)
			}
			redistest.WantField(t, err, c.field)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("a secret is shown: %v", err)
			}
		})
	}
}

func TestOpen_PartitionsAreFixed(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		if n := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, Partitions: 4}).Partitions(); n != 4 {
			t.Errorf("%d partitions", n)
		}
		if n := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns}).Partitions(); n != 4 {
			t.Errorf("%d partitions when none are asked for", n)
		}
		_, err := redis.Open(t.Context(), redis.Config{URL: url, Namespace: ns, Partitions: 8})
		if events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "4") || !strings.Contains(err.Error(), "8") {
			t.Errorf("got %v; want CONFIG and both numbers", err)
		}
		redistest.WantField(t, err, "Partitions")
	})
}

// Read-only clients create nothing.
func TestOpen_ReadOnly(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		reader := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, ReadOnly: true})
		if n := redistest.Must[[]events.Recorded](t)(reader.Read(t.Context(), nil, 10, 0)); len(n) > 0 {
			t.Errorf("an empty store has %d events", len(n))
		}
		if reader.Partitions() != eventlog.DefaultPartitions {
			t.Errorf("it has %d partitions", reader.Partitions())
		}
		redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, Partitions: 3})
		if n := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, ReadOnly: true}).Partitions(); n != 3 {
			t.Errorf("a read-only client finds a store of %d partitions", n)
		}
	})
}
