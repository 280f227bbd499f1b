package witness

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
)

// memory is a witness in memory.
type memory struct {
	known   events.Witnessed
	failing error
}

func (m *memory) Witnessed(context.Context) (events.Witnessed, error) { return m.known, m.failing }

func (m *memory) Record(_ context.Context, w events.Witnessed) (func() error, error) {
	m.known = w
	return func() error { return m.failing }, nil
}

func at(partition int, position uint64) events.Recorded {
	return events.Recorded{Partition: partition, Position: position}
}

// Each record has all partitions, also what earlier leaders have published, and never goes
// back.
func TestRecorder_RecordsAllPartitions(t *testing.T) {
	t.Parallel()
	m := &memory{known: events.Witnessed{Epoch: 1, Positions: events.Cursor{5, 9}}}
	r := NewRecorder(m, func() uint64 { return 2 })
	if err := r.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		batch []events.Recorded
		want  events.Cursor
	}{
		{[]events.Recorded{at(0, 6), at(0, 7), at(2, 1)}, events.Cursor{7, 9, 1}},
		{[]events.Recorded{at(1, 8)}, events.Cursor{7, 9, 1}}, // It is published again.
		{nil, events.Cursor{7, 9, 1}},
	} {
		confirmed, err := r.Record(t.Context(), step.batch)
		if err == nil {
			err = confirmed()
		}
		if diff := cmp.Diff(events.Witnessed{Epoch: 2, Positions: step.want}, m.known); err != nil || diff != "" {
			t.Errorf("after %v: %v, (-want +got)\n%s", step.batch, err, diff)
		}
	}
	m.failing = errors.New("gone")
	if err := r.Begin(t.Context()); !errors.Is(err, m.failing) {
		t.Errorf("a leader that cannot read the witness: %v", err)
	}
	if confirmed, err := r.Record(t.Context(), []events.Recorded{at(0, 8)}); err != nil || !errors.Is(confirmed(), m.failing) {
		t.Error("a record that is not stored counts as confirmed")
	}
	var none Recorder
	if confirmed, err := none.Record(t.Context(), []events.Recorded{at(0, 8)}); err != nil || confirmed() != nil || none.Begin(t.Context()) != nil {
		t.Error("a recorder without a witness fails")
	}
}
