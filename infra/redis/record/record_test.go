package record_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
	"github.com/pitwheel/pitwheel/infra/redis/record"
	"github.com/pitwheel/pitwheel/infra/redis/transports"
)

func rabbit() record.Use {
	return record.Use{Transport: transports.RabbitMQ, Broker: "rabbit@one/v", Namespace: "ns"}
}

// claim claims a store, and wants to be told whether there was no record before.
func claim(t *testing.T, s *redis.Store, use record.Use, wantMade bool) {
	t.Helper()
	if made, err := s.ClaimStore(t.Context(), use); err != nil || made != wantMade {
		t.Errorf("claiming %+v: made %v, %v; want %v", use, made, err, wantMade)
	}
}

func TestStoreRecord_FirstClaimWins(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		first, second := redistest.OpenIn(t, url, ns), redistest.OpenIn(t, url, ns)
		claim(t, first, rabbit(), false)
		claim(t, second, rabbit(), false)
		unknown := rabbit()
		unknown.Broker = "" // It is not connected at present.
		claim(t, second, unknown, false)
		info := redistest.Must[record.Info](t)(second.StoreInfo(t.Context()))
		if diff := cmp.Diff(record.Info{LogID: info.LogID, Partitions: 16, Use: rabbit()}, info); diff != "" || len(info.LogID) != 8 {
			t.Errorf("the record (-want +got):\n%s", diff)
		}
		for field, use := range map[string]record.Use{
			"Transport": {Transport: transports.RedisStreams, Namespace: "ns"},
			"Broker":    {Transport: transports.RabbitMQ, Broker: "rabbit@two/v", Namespace: "ns"},
			"Namespace": {Transport: transports.RabbitMQ, Broker: "rabbit@one/v", Namespace: "other"},
		} {
			_, err := second.ClaimStore(t.Context(), use)
			redistest.WantField(t, err, field)
			if diff := cmp.Diff(info, redistest.Must[record.Info](t)(first.StoreInfo(t.Context()))); diff != "" {
				t.Errorf("who was refused has changed the record:\n%s", diff)
			}
		}
	})
}

// Stores that earlier versions have made have a number of partitions and nothing else.
func TestStoreRecord_OfEarlierVersions(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		admin := redistest.Open(t, url).Client()
		if err := admin.HSet(t.Context(), ns+":store", "partitions", 4).Err(); err != nil {
			t.Fatal(err)
		}
		s := redistest.OpenIn(t, url, ns)
		if id := redistest.Must[string](t)(s.LogID(t.Context())); id == "" || s.Partitions() != 4 {
			t.Errorf("the id of the log is %q, and it has %d partitions", id, s.Partitions())
		}
		claim(t, s, rabbit(), false)
		if info := redistest.Must[record.Info](t)(s.StoreInfo(t.Context())); info.Use != rabbit() {
			t.Errorf("the record is %+v", info)
		}
	})
}

// What makes the record of a store again that was emptied is whatever asks first, and only
// one of those that ask at once.
func TestStoreRecord_MadeAgainAfterDeletion(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns, ctx := redistest.Namespace(t, url), t.Context()
		first, second := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, Partitions: 3}), redistest.OpenIn(t, url, ns)
		claim(t, first, rabbit(), false)
		claim(t, second, rabbit(), false)
		before := redistest.Must[record.Info](t)(first.StoreInfo(ctx))
		if err := first.Client().Del(ctx, ns+":store").Err(); err != nil {
			t.Fatal(err)
		}
		var asking sync.WaitGroup
		ids := make([]string, 8)
		for i := range ids {
			asking.Go(func() { ids[i], _ = []*redis.Store{first, second}[i%2].LogID(ctx) })
		}
		asking.Wait()
		after := redistest.Must[record.Info](t)(first.StoreInfo(ctx))
		if after.LogID == before.LogID || after.Partitions != 3 || after.Use != rabbit() {
			t.Errorf("the record was %+v and is %+v", before, after)
		}
		for _, id := range ids {
			if id != after.LogID {
				t.Errorf("the id of the log is %q to one and %q to others", id, after.LogID)
			}
		}
		if err := first.Client().Del(ctx, ns+":store").Err(); err != nil {
			t.Fatal(err)
		}
		claim(t, first, rabbit(), true)

		// Who was away works with another number of partitions than a record that was made
		// meanwhile.
		if err := first.Client().HSet(ctx, ns+":store", "partitions", 5).Err(); err != nil {
			t.Fatal(err)
		}
		_, err := second.ClaimStore(ctx, rabbit())
		redistest.WantField(t, err, "Partitions")
	})
}

func TestStoreRecord_Adopt(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns, ctx := redistest.Namespace(t, url), t.Context()
		reader := redistest.OpenWith(t, redis.Config{URL: url, Namespace: ns, ReadOnly: true})
		streams := record.Use{Transport: transports.RedisStreams, Namespace: "ns"}
		if _, err := reader.AdoptStore(ctx, streams); events.CodeOf(err) != events.CodeNotFound {
			t.Errorf("a store that does not exist: %v", err)
		}
		if id, err := reader.LogID(ctx); id != "" || err != nil {
			t.Errorf("a store that does not exist has the log %q, %v", id, err)
		}
		s := redistest.OpenIn(t, url, ns)
		claim(t, s, rabbit(), false)
		before, err := reader.AdoptStore(ctx, streams)
		if err != nil || before.Use != rabbit() {
			t.Errorf("before it was %+v, %v", before, err)
		}
		after := redistest.Must[record.Info](t)(reader.StoreInfo(ctx))
		if after.Use != streams || after.LogID != before.LogID || after.Partitions != before.Partitions {
			t.Errorf("the record was %+v and is %+v", before, after)
		}
		// Instances that run find out.
		if _, err := s.ClaimStore(ctx, rabbit()); events.CodeOf(err) != events.CodeConfig || !strings.Contains(err.Error(), "Redis Streams") {
			t.Errorf("who uses what was given up: %v", err)
		}
		claim(t, s, streams, false)
	})
}
