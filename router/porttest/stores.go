package porttest

import (
	"testing"
	"time"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
	"github.com/pitwheel/pitwheel/router/poison"
)

// TestCheckpoints checks an implementation of [router.Checkpoints].
func TestCheckpoints(t *testing.T, open func(t *testing.T) router.Checkpoints) {
	s := suite[router.Checkpoints]{t, open}
	s.run("a role that has never read is at the beginning", func(t *testing.T, c router.Checkpoints) {
		wantCursor(t, get[events.Cursor](t)(c.Checkpoint(t.Context(), "relay")), 0)
	})
	s.run("a checkpoint never moves back", func(t *testing.T, c router.Checkpoints) {
		for _, step := range []struct {
			save events.Cursor
			want uint64
		}{{events.Cursor{3}, 3}, {events.Cursor{2}, 3}, {nil, 3}, {events.Cursor{0}, 3}, {events.Cursor{9}, 9}} {
			must(t, c.SaveCheckpoint(t.Context(), "relay", step.save))
			wantCursor(t, get[events.Cursor](t)(c.Checkpoint(t.Context(), "relay")), step.want)
		}
	})
	s.run("each partition moves alone", func(t *testing.T, c router.Checkpoints) {
		must(t, c.SaveCheckpoint(t.Context(), "relay", events.Cursor{1}))
		if len(get[events.Cursor](t)(c.Checkpoint(t.Context(), "relay"))) < 3 {
			t.Skip("the store has fewer than three partitions")
		}
		for _, save := range []events.Cursor{{3, 0, 7}, {2, 5, 9}, nil, {0, 4, 8}} {
			must(t, c.SaveCheckpoint(t.Context(), "relay", save))
		}
		wantCursor(t, get[events.Cursor](t)(c.Checkpoint(t.Context(), "relay")), 3, 5, 9)
	})
	s.run("each role has its own", func(t *testing.T, c router.Checkpoints) {
		must(t, c.SaveCheckpoint(t.Context(), "relay", events.Cursor{3}))
		wantCursor(t, get[events.Cursor](t)(c.Checkpoint(t.Context(), "auditor")), 0)
	})
}

// wantCursor checks the positions of a cursor; those not given must be 0.
func wantCursor(t tb, got events.Cursor, want ...uint64) {
	t.Helper()
	for p := range max(len(got), len(want)) {
		if got.At(p) != events.Cursor(want).At(p) {
			t.Fatalf("the cursor is %v; want %v", got, want)
		}
	}
}

// TestInbox checks an implementation of [router.Inbox].
func TestInbox(t *testing.T, open func(t *testing.T) router.Inbox) {
	s := suite[router.Inbox]{t, open}
	for name, id := range map[string]string{"a UUID": events.NewID(), "an id that is not a UUID": "order/7", "an empty id": ""} {
		s.run("what is recorded is seen by its handler alone: "+name, func(t *testing.T, inbox router.Inbox) {
			ctx := t.Context()
			if get[bool](t)(inbox.Seen(ctx, "h", id)) {
				t.Error("seen before it was recorded")
			}
			for range 2 {
				must(t, inbox.Record(ctx, "h", id))
				if !get[bool](t)(inbox.Seen(ctx, "h", id)) {
					t.Error("not seen after it was recorded")
				}
			}
			if get[bool](t)(inbox.Seen(ctx, "other", id)) {
				t.Error("seen by a handler that has not handled it")
			}
			if get[bool](t)(inbox.Seen(ctx, "h", id+"x")) {
				t.Error("another id is seen")
			}
		})
	}
	s.run("handler and id do not run into one another", func(t *testing.T, inbox router.Inbox) {
		must(t, inbox.Record(t.Context(), "a/b", "c"))
		if get[bool](t)(inbox.Seen(t.Context(), "a", "b/c")) {
			t.Error("b/c of a is seen after c of a/b was recorded")
		}
	})
}

// TestPoisonStore checks an implementation of [router.PoisonStore].
func TestPoisonStore(t *testing.T, open func(t *testing.T) router.PoisonStore) {
	s := suite[router.PoisonStore]{t, open}
	s.run("an empty store counts none", func(t *testing.T, store router.PoisonStore) { wantPoison(t, store, nil) })
	s.run("a message counts once, however often it fails", func(t *testing.T, store router.PoisonStore) {
		for range 2 { // The broker may deliver it again.
			must(t, store.StorePoison(t.Context(), poisoned("h", "1", 0)))
		}
		for _, minute := range []int{9, 3} { // A later failure may come first.
			must(t, store.StorePoison(t.Context(), poisoned("h", "1", minute)))
		}
		wantPoison(t, store, map[string]int{"h": 1})
	})
	s.run("messages are counted by handler", func(t *testing.T, store router.PoisonStore) {
		for _, of := range [][2]string{{"h", "1"}, {"h", "2"}, {"i", "1"}} {
			must(t, store.StorePoison(t.Context(), poisoned(of[0], of[1], 0)))
		}
		wantPoison(t, store, map[string]int{"h": 2, "i": 1})
	})
	s.run("whatever a message contains, it is stored", func(t *testing.T, store router.PoisonStore) {
		m := poison.Message{ID: poison.ID("h", "1"), Handler: "h", Body: []byte{0, 255}, Metadata: map[string]string{"\xff": "\x00"}, Reason: "\xff"}
		must(t, store.StorePoison(t.Context(), m))
		wantPoison(t, store, map[string]int{"h": 1})
	})
}

func wantPoison(t *testing.T, store router.PoisonStore, want map[string]int) {
	t.Helper()
	got := get[map[string]int](t)(store.CountPoison(t.Context()))
	for handler := range got {
		if got[handler] != want[handler] {
			t.Errorf("%s has %d poison messages; want %d", handler, got[handler], want[handler])
		}
	}
	for handler := range want {
		if _, ok := got[handler]; !ok {
			t.Errorf("%s is missing in %v", handler, got)
		}
	}
}

// poisoned returns a message of a handler that failed at a minute.
func poisoned(handler, id string, minute int) poison.Message {
	at := time.Date(2026, 11, 24, 10, minute, 0, 0, time.UTC)
	return poison.Message{
		ID: poison.ID(handler, id), Handler: handler, Kind: "reaction", Queue: handler, Topic: "order.events", Type: "ORDER_PLACED", Key: "7",
		MessageID: id, Code: "TIMEOUT", Reason: "too slow", Source: poison.FromRouter, Attempts: 5, Failures: 1,
		FirstFailedAt: at, LastFailedAt: at, Size: 2, Metadata: map[string]string{"type": "ORDER_PLACED"}, Body: []byte("{}"),
	}
}
