package poisonstore_test

import (
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"

	"github.com/pitwheel/pitwheel/router/poison"
)

// longAgo is when messages of these tests fail first.
var longAgo = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// failed returns a poison message of a handler that failed n minutes after longAgo.
func failed(handler, message string, n int) poison.Message {
	body := []byte(`{"name":"Ada <` + message + `>","raw":"` + "\xff" + `"}`)
	return poison.Message{
		ID: poison.ID(handler, message), Handler: handler, Kind: "reaction", Queue: handler + "-queue", Topic: "user.events",
		Type: "USER_CREATED", Key: "ada", MessageID: message, CorrelationID: "story", Code: "TIMEOUT", Reason: "too slow", Frame: "main.f f.go:1",
		Stack: "stack", Source: poison.FromRouter, Attempts: 5, Failures: 1,
		FirstFailedAt: longAgo.Add(time.Duration(n) * time.Minute), LastFailedAt: longAgo.Add(time.Duration(n) * time.Minute),
		Size: len(body), Metadata: map[string]string{"type": "USER_CREATED", "own": "ö\n"}, Body: body,
	}
}

func collect[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// A list of many messages that failed in the same millisecond is complete, also
// while they are removed.
func TestPoisonStore_ManyMessages(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		n := 3000
		if strings.HasSuffix(t.Name(), "/embedded") {
			n = 1100 // It is slow in keeping things sorted.
		}
		s, ctx := redistest.Open(t, url), t.Context()
		var all sync.WaitGroup
		for w := range 10 {
			all.Go(func() {
				for i := w; i < n; i += 10 {
					if err := s.StorePoison(ctx, failed("h", fmt.Sprint(i), i/2000)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		for _, order := range []poison.Order{poison.OldestFirst, poison.NewestFirst} {
			seen := map[string]bool{}
			for _, l := range collect(t, s.PoisonMessages(ctx, poison.Filter{}, order)) {
				seen[l.ID] = true
			}
			if len(seen) != n {
				t.Errorf("%d messages are listed, not %d", len(seen), n)
			}
		}
		var batch []poison.Message
		for l, err := range s.PoisonMessages(ctx, poison.Filter{}, poison.OldestFirst) {
			if err != nil {
				t.Fatal(err)
			}
			if batch = append(batch, l); len(batch) < 100 {
				continue
			}
			for _, r := range redistest.Must[[]poison.Removal](t)(s.RemovePoison(ctx, poison.Change{Action: poison.Discarded}, batch...)) {
				if r != poison.Removed {
					t.Fatalf("a message is not removed: %d", r)
				}
			}
			batch = nil
		}
		if left := redistest.Must[map[string]int](t)(s.CountPoison(ctx)); len(left) > 0 {
			t.Errorf("%v are left", left)
		}
		if changes := collect(t, s.PoisonChanges(ctx)); len(changes) != n {
			t.Errorf("%d changes, want %d", len(changes), n)
		}
	})
}
