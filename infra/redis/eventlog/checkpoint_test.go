package eventlog_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

// A log that was emptied, or replaced by an older copy, while a batch was on its way: the
// checkpoint of that batch is not stored, and the role learns where the log is.
func TestLog_SaveCheckpoint_LogHasLostEvents(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		ns := redistest.Namespace(t, url)
		s, ctx := redistest.OpenIn(t, url, ns), t.Context()
		for v := range uint64(5) {
			redistest.Must[events.Outcome](t)(s.Append(ctx, redistest.Decision("ada", events.NewID(), v, 1)))
		}
		end := redistest.Must[events.Cursor](t)(s.End(ctx))
		p := slices.Index(end, 5)
		epoch := redistest.Must[string](t)(s.Epoch(ctx))
		redistest.Must[events.Checkpoint](t)(s.OpenCheckpoint(ctx, "relay", "mine"))
		save := func(from, to events.Cursor) error {
			return s.SaveCheckpoint(ctx, events.CheckpointCommit{Role: "relay", Token: "mine", Epoch: epoch, From: from, To: to})
		}
		at := end.Clone(0)
		at[p] = 3
		if err := save(nil, at); err != nil {
			t.Fatal(err)
		}
		endKey := fmt.Sprintf("%s:{p%d}:end", ns, p)
		if err := s.Client().Set(ctx, endKey, 4, 0).Err(); err != nil { // An older copy.
			t.Fatal(err)
		}
		if err := save(at, end); events.CodeOf(err) != events.CodeCursorMoved {
			t.Errorf("a checkpoint beyond the end of the log: %v", err)
		}
		if got := redistest.Must[events.Checkpoint](t)(s.OpenCheckpoint(ctx, "relay", "mine")); got.Cursor.At(p) != 3 || got.Epoch != epoch {
			t.Errorf("the checkpoint is %+v; want position 3 of the log %s", got, epoch)
		}
		for _, key := range s.Client().Keys(ctx, ns+":*").Val() { // FLUSHALL, as far as it is ours.
			s.Client().Del(ctx, key)
		}
		if err := save(at, end); events.CodeOf(err) != events.CodeCursorMoved {
			t.Errorf("a checkpoint of a log that was deleted: %v", err)
		}
		if got := redistest.Must[events.Cursor](t)(s.Checkpoint(ctx, "relay")); got.At(p) != 0 {
			t.Errorf("after all was deleted the checkpoint is %v", got)
		}
		if got := redistest.Must[string](t)(s.Epoch(ctx)); got == epoch || events.SameLog(got, epoch) {
			t.Errorf("the new log has the epoch %q, and the old one had %q", got, epoch)
		}
		if n := redistest.OpenIn(t, url, ns).Partitions(); n != len(end) {
			t.Errorf("the store is made again with %d partitions, not %d", n, len(end))
		}
	})
}
