package cli

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/programtest"
)

// usersIn returns new ids of users in a partition of 16, or in the others.
func usersIn(partition, n int, others bool) []string {
	var ids []string
	for len(ids) < n {
		id := events.NewID()
		h := fnv.New32a()
		_, _ = h.Write([]byte(id))
		if (int(h.Sum32()%16) == partition) != others {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestServe_PartitionRefusesAppends has one partition of the log refuse what is appended,
// while more commands for it wait than a handler's window holds: commands for the other
// partitions are decided, readiness names the partition, and once it is mended the rest is.
func TestServe_PartitionRefusesAppends(t *testing.T) {
	t.Parallel()
	onBothBrokers(t, func(t *testing.T, b *brokers) {
		url := strings.TrimPrefix(b.environ[1], "PITWHEEL_REDIS_URL=")
		options, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(options)
		t.Cleanup(func() { _ = client.Close() })
		broken := b.namespace + ":{p3}:log"
		r := b.serve(t)
		if err := client.Set(t.Context(), broken, "not a stream", 0).Err(); err != nil {
			t.Fatal(err)
		}
		stuck := usersIn(3, 1500, false)
		var all sync.WaitGroup
		places := make(chan struct{}, 32)
		for _, id := range stuck {
			places <- struct{}{}
			all.Go(func() {
				defer func() { <-places }()
				resp, err := http.Post("http://"+r.http+"/v1/commands/CREATE_USER", "application/json", strings.NewReader(fmt.Sprintf(`{"userId":%q,"email":"a@example.com","name":"A"}`, id)))
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusAccepted {
					t.Errorf("%s", resp.Status)
				}
			})
		}
		all.Wait()
		programtest.Eventually(t, "readiness that names the partition", func() bool {
			code, page := r.get(t, "/readyz")
			return code == http.StatusServiceUnavailable && strings.Contains(page, "partition 3")
		})
		for i, id := range usersIn(3, 50, true) {
			out := pitwheelSend(t, b.environ, id)
			if out.code != exitOK {
				t.Fatalf("command %d for another partition: exit code %d: %s", i, out.code, out.stderr)
			}
		}
		if err := client.Del(t.Context(), broken).Err(); err != nil {
			t.Fatal(err)
		}
		programtest.Eventually(t, "the rest", func() bool {
			n, err := client.XLen(t.Context(), broken).Result()
			return err == nil && int(n) == len(stuck)
		})
		programtest.Eventually(t, "readiness", func() bool { code, _ := r.get(t, "/readyz"); return code == http.StatusOK })
	})
}

// pitwheelSend sends a command to the handler's queue, and waits for its outcome.
func pitwheelSend(t *testing.T, environ []string, id string) result {
	t.Helper()
	return pitwheel(t, environ, "send", "CREATE_USER", "-f", "userId="+id, "-f", "email=b@example.com", "-f", "name=B", "--wait", "--timeout", programtest.Patience.String())
}
