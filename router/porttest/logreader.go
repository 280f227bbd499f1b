package porttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
)

// EventLog is a log that can be read across its aggregates.
type EventLog interface {
	router.Log
	router.LogReader
}

// TestLogReader checks an implementation of [router.LogReader], whose events are appended
// through the [router.Log] of the same store.
func TestLogReader(t *testing.T, open func(t *testing.T) EventLog) {
	s := suite[EventLog]{t, open}
	s.run("an empty log has none", func(t *testing.T, log EventLog) {
		if log.Partitions() < 1 {
			t.Fatalf("the log has %d partitions", log.Partitions())
		}
		wantEnd(t, log, 0)
		if got := get[[]events.Recorded](t)(log.Read(t.Context(), nil, 10, 0)); len(got) != 0 {
			t.Errorf("read %d events", len(got))
		}
	})
	s.run("its epoch stays", func(t *testing.T, log EventLog) {
		before := get[string](t)(log.Epoch(t.Context()))
		get[events.Outcome](t)(log.Append(t.Context(), request("a", events.NewID(), 0, 1)))
		if after := get[string](t)(log.Epoch(t.Context())); before == "" || after != before {
			t.Errorf("the epoch is %q, and was %q", after, before)
		}
	})
	s.run("positions have no gap", readsWithoutGap)
	s.run("a read begins after its cursor and keeps to its limit", readsPages)
	s.run("a read waits for an event", func(t *testing.T, log EventLog) {
		type result struct {
			events []events.Recorded
			err    error
		}
		read := make(chan result, 1)
		go func() {
			got, err := log.Read(t.Context(), nil, 10, patience)
			read <- result{got, err}
		}()
		get[events.Outcome](t)(log.Append(t.Context(), request("a", events.NewID(), 0, 1)))
		if r := <-read; r.err != nil || len(r.events) != 1 {
			t.Errorf("read %d events: %v; want the one that came meanwhile", len(r.events), r.err)
		}
		// Beyond the end there is nothing, and it waits as long as it is told to.
		began := time.Now()
		if got := get[[]events.Recorded](t)(log.Read(t.Context(), get[events.Cursor](t)(log.End(t.Context())), 10, glance)); len(got) != 0 {
			t.Errorf("read %d events beyond the end", len(got))
		}
		if spent := time.Since(began); spent < glance {
			t.Errorf("a read without result waited %s; want %s", spent, glance)
		}
	})
	s.run("a read ends with its context", func(t *testing.T, log EventLog) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(glance, cancel)
		if got, err := log.Read(ctx, nil, 10, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("read %d events: %v; want the context's error", len(got), err)
		}
	})
	s.run("concurrent appends leave no gap", func(t *testing.T, log EventLog) {
		const writers, each = 8, 25
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for v := range uint64(each) {
					if _, err := log.Append(t.Context(), request(fmt.Sprint("aggregate ", w), events.NewID(), v, 1)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		wantEnd(t, log, writers*each)
		wantPositions(t, log, nil, 100)
	})
}

// wantEnd checks how many events lie before the end of the log.
func wantEnd(t tb, log router.LogReader, total uint64) events.Cursor {
	t.Helper()
	end := get[events.Cursor](t)(log.End(context.Background()))
	if n := events.Cursor(nil).Behind(end); n != total || len(end) != log.Partitions() {
		t.Fatalf("the end of %d partitions is %v; want %d events in all", log.Partitions(), end, total)
	}
	return end
}

// wantPositions reads the log from a cursor to its end in pages, and checks that the
// positions of each partition follow one another. It returns what it has read.
func wantPositions(t tb, log router.LogReader, after events.Cursor, limit int) []events.Recorded {
	t.Helper()
	at := after.Clone(log.Partitions())
	var all []events.Recorded
	for {
		page := get[[]events.Recorded](t)(log.Read(context.Background(), at, limit, 0))
		if len(page) == 0 {
			break
		}
		read := map[int]int{}
		for i, e := range page {
			if e.Partition < 0 || e.Partition >= log.Partitions() || e.Position != at.At(e.Partition)+1 {
				t.Fatalf("an event at position %d of partition %d of %d follows position %d", e.Position, e.Partition, log.Partitions(), at.At(e.Partition))
			}
			if i > 0 && page[i-1].Partition != e.Partition && read[e.Partition] > 0 {
				t.Fatalf("the events of partition %d are not together", e.Partition)
			}
			at[e.Partition] = e.Position
			if read[e.Partition]++; limit > 0 && read[e.Partition] > limit {
				t.Fatalf("more than %d events of partition %d", limit, e.Partition)
			}
		}
		all = append(all, page...)
	}
	if end := get[events.Cursor](t)(log.End(context.Background())); at.Behind(end) != 0 {
		t.Fatalf("the log is read to %v, and ends at %v", at, end)
	}
	return all
}

// readsWithoutGap lets rapid append to several aggregates, with conflicts among them.
func readsWithoutGap(t *testing.T, log EventLog) {
	rapid.Check(t, func(rt *rapid.T) {
		before := get[events.Cursor](rt)(log.End(t.Context()))
		run, versions, total := events.NewID(), map[string]uint64{}, 0
		rt.Repeat(map[string]func(*rapid.T){"append": func(rt *rapid.T) {
			id := fmt.Sprint(run, "-", rapid.IntRange(0, 7).Draw(rt, "aggregate"))
			n := rapid.IntRange(1, 4).Draw(rt, "events")
			if rapid.IntRange(0, 4).Draw(rt, "stale") == 0 {
				_, err := log.Append(t.Context(), request(id, events.NewID(), versions[id]+1, n))
				wantCode(rt, "an append on a version ahead", err, events.CodeConflict)
				return
			}
			get[events.Outcome](rt)(log.Append(t.Context(), request(id, events.NewID(), versions[id], n)))
			versions[id] += uint64(n) //nolint:gosec // n is small.
			total += n
		}})
		got := wantPositions(rt, log, before, rapid.IntRange(1, 20).Draw(rt, "limit"))
		if len(got) != total {
			rt.Fatalf("%d events are read; want %d", len(got), total)
		}
		seen := map[string]uint64{}
		for _, e := range got {
			if seen[e.AggregateID]++; e.Version != seen[e.AggregateID] {
				rt.Fatalf("version %d of %s comes where %d must be", e.Version, e.AggregateID, seen[e.AggregateID])
			}
		}
	})
}

func readsPages(t *testing.T, log EventLog) {
	get[events.Outcome](t)(log.Append(t.Context(), request("a", events.NewID(), 0, 7)))
	first := get[events.History](t)(log.Load(t.Context(), aggregate, "a", "")).Events[0]
	for _, limit := range []int{0, 1, 3, 7, 100} {
		if got := wantPositions(t, log, nil, limit); len(got) != 7 {
			t.Errorf("with limit %d %d events are read", limit, len(got))
		}
	}
	nowhere := make(events.Cursor, log.Partitions())
	for p := range nowhere {
		nowhere[p] = events.Nowhere
	}
	if got := get[[]events.Recorded](t)(log.Read(t.Context(), nowhere, 10, glance)); len(got) != 0 {
		t.Errorf("from nowhere %d events are read", len(got))
	}
	after := make(events.Cursor, log.Partitions())
	after[first.Partition] = first.Position + 4
	if got := wantPositions(t, log, after, 10); len(got) != 2 || got[0].Version != 6 {
		t.Errorf("after the fifth event %+v are read", got)
	}
}
