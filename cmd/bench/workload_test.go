package main

import (
	"sync"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/routertest/sample"
)

func TestMessagesHaveTheContractsShape(t *testing.T) {
	t.Parallel()
	catalogue := sample.Catalogue()
	for _, size := range append([]int{bodySize}, payloadSizes()...) {
		msg := workload{n: 5000, keys: keys, size: size}.message(4321)
		if len(msg.Payload) != size {
			t.Errorf("the body has %d bytes, not %d", len(msg.Payload), size)
		}
		e, err := events.Decode(msg.Payload, events.Header{})
		if err != nil {
			t.Fatal(err)
		}
		data, err := catalogue.DecodeData(e)
		if err != nil {
			t.Fatal(err)
		}
		user := data.(sample.Created).UserID
		if numberOf(e.ID) != 4321 || e.ID != msg.UUID || !events.IsID(user) || user != userID(321) || user != msg.Metadata[events.MetaAggregateID] {
			t.Errorf("id %s, user %s, metadata %v", e.ID, user, msg.Metadata)
		}
		if msg.Metadata[events.MetaVersion] != "5" {
			t.Errorf("version %s", msg.Metadata[events.MetaVersion])
		}
	}
}

func TestNumberOf(t *testing.T) {
	t.Parallel()
	for _, i := range []int{0, 1, 255, 1_000_000} {
		if got := numberOf(messageID(i)); got != i {
			t.Errorf("%d became %d", i, got)
		}
	}
	for _, id := range []string{"", "x", "0190f3c2-0000-7000-8000-zzzzzzzzzzzz"} {
		if got := numberOf(id); got != -1 {
			t.Errorf("%q became %d", id, got)
		}
	}
}

func TestMeterCountsEachMessageOnce(t *testing.T) {
	t.Parallel()
	m := newMeter(1000, 1000)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 999 {
				m.mark(i)
			}
		})
	}
	all.Wait()
	m.mark(-1)
	m.mark(5000)
	select {
	case <-m.done:
		t.Fatal("done without the last message")
	default:
	}
	m.markID(messageID(999))
	if rate := m.wait(t.Context()); rate <= 0 {
		t.Errorf("%v a second", rate)
	}
}

func TestRequestsPerSecond(t *testing.T) {
	t.Parallel()
	out := `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"EVAL return 1 1 a {"a":"b","c":"d"}","23255.81","1.407","0.176","1.223","2.823","5.775","6.023"
`
	if got, err := requestsPerSecond(out); err != nil || got != 23255.81 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := requestsPerSecond("Could not connect"); err == nil {
		t.Error("nonsense is understood")
	}
}
