package eventlog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/infra/redis/internal/redistest"
)

func TestLog_CheckpointNeverMovesBack(t *testing.T) {
	t.Parallel()
	redistest.OnEach(t, func(t *testing.T, url string) {
		s, ctx := redistest.Open(t, url), t.Context()
		for _, c := range []events.Cursor{{3, 0, 7}, {2, 5, 9}, nil, {0, 4, 8}} {
			if err := s.SaveCheckpoint(ctx, "relay", c); err != nil {
				t.Fatal(err)
			}
		}
		got := redistest.Must[events.Cursor](t)(s.Checkpoint(ctx, "relay"))
		if want := (events.Cursor{3, 5, 9}).Clone(s.Partitions()); !cmp.Equal(got, want) {
			t.Errorf("checkpoint %v; want %v", got, want)
		}
		if got := redistest.Must[events.Cursor](t)(s.Checkpoint(ctx, "other")); got.At(0) != 0 {
			t.Errorf("the checkpoint of another role is %v", got)
		}
	})
}
