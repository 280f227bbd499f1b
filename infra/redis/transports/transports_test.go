package transports_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/infra/redis/transports"
)

func TestTransports(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		service, client := redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns)
		want := func(want ...transports.Transport) {
			t.Helper()
			got, err := client.UsedTransports(t.Context())
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v, transports (-want +got):\n%s", err, diff)
			}
		}
		record := func(used transports.Transport) {
			t.Helper()
			if err := service.RecordTransport(t.Context(), used); err != nil {
				t.Fatal(err)
			}
		}
		want()
		streams := transports.Transport{Kind: transports.RedisStreams}
		record(streams)
		want(streams)
		record(transports.Transport{Kind: transports.RabbitMQ, Address: "old:5672/"})
		rabbit := transports.Transport{Kind: transports.RabbitMQ, Address: "new:5672/v"}
		record(rabbit)
		want(rabbit, streams)
		for _, kind := range []string{transports.RabbitMQ, transports.RedisStreams} {
			left, err := client.Client().PTTL(t.Context(), ns+":transport:"+kind).Result()
			if err != nil || left <= transports.Interval || left > time.Minute {
				t.Errorf("%s is recorded for another %s, %v", kind, left, err)
			}
		}
	})
}
