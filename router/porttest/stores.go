package porttest

import (
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router"
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
