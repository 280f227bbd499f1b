package porttest

import (
	"context"
	"fmt"
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
	s.run("it is moved from where it is", func(t *testing.T, c router.Checkpoints) {
		must(t, openAndSave(t, c, "relay", nil, events.Cursor{3}))
		for _, from := range []events.Cursor{nil, {2}, {4}} {
			wantCode(t, fmt.Sprintf("a step from %v, where 3 is stored", from), c.SaveCheckpoint(t.Context(), commit("relay", "last", from, events.Cursor{9})), events.CodeCursorMoved)
		}
		at := get[events.Checkpoint](t)(c.OpenCheckpoint(t.Context(), "relay", "next"))
		wantCursor(t, at.Cursor, 3)
		if at.Epoch != "epoch" {
			t.Errorf("the epoch of the checkpoint is %q", at.Epoch)
		}
		for range 2 { // The second time its answer was lost.
			must(t, c.SaveCheckpoint(t.Context(), commit("relay", "next", events.Cursor{3}, events.Cursor{9})))
		}
		// It goes back where the log does.
		must(t, c.SaveCheckpoint(t.Context(), commit("relay", "next", events.Cursor{9}, events.Cursor{5})))
		wantCursor(t, get[events.Cursor](t)(c.Checkpoint(t.Context(), "relay")), 5)
	})
	s.run("only the last one that has opened it can move it", func(t *testing.T, c router.Checkpoints) {
		wantCode(t, "a step that nobody has opened", c.SaveCheckpoint(t.Context(), commit("relay", "none", nil, events.Cursor{1})), events.CodeCursorMoved)
		must(t, openAndSave(t, c, "relay", nil, events.Cursor{3}))
		get[events.Checkpoint](t)(c.OpenCheckpoint(t.Context(), "relay", "next"))
		wantCode(t, "a step of one that was replaced", c.SaveCheckpoint(t.Context(), commit("relay", "last", events.Cursor{3}, events.Cursor{9})), events.CodeCursorMoved)
		wantCursor(t, get[events.Cursor](t)(c.Checkpoint(t.Context(), "relay")), 3)
	})
	s.run("each partition moves alone", func(t *testing.T, c router.Checkpoints) {
		if len(get[events.Checkpoint](t)(c.OpenCheckpoint(t.Context(), "relay", "last")).Cursor) < 3 {
			t.Skip("the store has fewer than three partitions")
		}
		must(t, c.SaveCheckpoint(t.Context(), commit("relay", "last", events.Cursor{}, events.Cursor{3, 0, 7})))
		must(t, c.SaveCheckpoint(t.Context(), commit("relay", "last", events.Cursor{3, 0, 7}, events.Cursor{3, 5, 9})))
		wantCursor(t, get[events.Cursor](t)(c.Checkpoint(t.Context(), "relay")), 3, 5, 9)
		// One that is not where it should be holds up all.
		wantCode(t, "a step that is right in one partition", c.SaveCheckpoint(t.Context(), commit("relay", "last", events.Cursor{3, 4, 9}, events.Cursor{4, 6, 9})), events.CodeCursorMoved)
		wantCursor(t, get[events.Cursor](t)(c.Checkpoint(t.Context(), "relay")), 3, 5, 9)
	})
	s.run("each role has its own", func(t *testing.T, c router.Checkpoints) {
		must(t, openAndSave(t, c, "relay", nil, events.Cursor{3}))
		wantCursor(t, get[events.Checkpoint](t)(c.OpenCheckpoint(t.Context(), "auditor", "other")).Cursor, 0)
		must(t, c.SaveCheckpoint(t.Context(), commit("relay", "last", events.Cursor{3}, events.Cursor{4})))
	})
}

// openAndSave moves a checkpoint with the token "last".
func openAndSave(t tb, c router.Checkpoints, role string, from, to events.Cursor) error {
	t.Helper()
	get[events.Checkpoint](t)(c.OpenCheckpoint(context.Background(), role, "last"))
	return c.SaveCheckpoint(context.Background(), commit(role, "last", from, to))
}

func commit(role, token string, from, to events.Cursor) events.CheckpointCommit {
	return events.CheckpointCommit{Role: role, Token: token, Epoch: "epoch", From: from, To: to}
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
