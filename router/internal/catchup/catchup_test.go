package catchup

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pitwheel/pitwheel/events"
)

// noLog is what of a log these tests do not need.
type noLog struct{}

func (noLog) Partitions() int                            { return 2 }
func (noLog) End(context.Context) (events.Cursor, error) { return nil, nil }
func (noLog) Epoch(context.Context) (string, error)      { return "", nil }

// batches is a reader that returns one batch after the other, and then no events.
type batches struct {
	noLog
	of [][]events.Recorded
}

func (b *batches) Read(ctx context.Context, _ events.Cursor, _ int, wait time.Duration) ([]events.Recorded, error) {
	if len(b.of) > 0 {
		next := b.of[0]
		b.of = b.of[1:]
		return next, nil
	}
	select {
	case <-time.After(wait):
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func at(partition int, position uint64) events.Recorded {
	return events.Recorded{Partition: partition, Position: position}
}

func TestSubscription_Run(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, tt := range []struct {
		name   string
		reader [][]events.Recorded
		fail   error
		want   []int // sizes of the batches applied
		code   string
	}{
		{"until it is stopped", [][]events.Recorded{{at(0, 1), at(1, 1)}, {at(0, 2)}}, nil, []int{2, 1, 0}, ""},
		{"an event is repeated", [][]events.Recorded{{at(0, 1)}, {at(0, 1)}}, nil, []int{1}, events.CodeInternal},
		{"events are out of order", [][]events.Recorded{{at(1, 2), at(1, 1)}}, nil, nil, events.CodeInternal},
		{"applying fails", [][]events.Recorded{{at(0, 1)}, {at(0, 2)}}, boom, []int{1}, events.CodeInternal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				var sizes []int
				err := Subscription{Reader: &batches{of: tt.reader}, Limit: 10, Apply: func(batch []events.Recorded) error {
					sizes = append(sizes, len(batch))
					if len(batch) == 0 {
						stop()
					}
					return tt.fail
				}}.Run(ctx)
				stop()
				if (err != nil) != (tt.code != "") || err != nil && events.CodeOf(err) != tt.code || tt.fail != nil && !errors.Is(err, tt.fail) {
					t.Errorf("the error is %v", err)
				}
				if diff := cmp.Diff(tt.want, sizes); diff != "" {
					t.Errorf("the batches (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// brokenReader has a partition that cannot be read for a while, and one with an event each
// time that it is asked.
type brokenReader struct {
	noLog
	mends time.Time
	asked int // for the broken partition
	next  uint64
}

func (b *brokenReader) Read(ctx context.Context, after events.Cursor, _ int, _ time.Duration) ([]events.Recorded, error) {
	<-time.After(time.Second)
	b.next++
	found := []events.Recorded{at(0, b.next)}
	if after.At(1) == events.Nowhere {
		return found, ctx.Err()
	}
	b.asked++
	if time.Now().Before(b.mends) {
		return found, events.PartitionErrors{1: errors.New("not an event")}
	}
	return append(found, at(1, after.At(1)+1)), ctx.Err()
}

// A partition that cannot be read on does not hold up another one, is not asked for all the
// time, and is read on by itself once it can be.
func TestSubscription_Run_BrokenPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := &brokenReader{mends: time.Now().Add(13500 * time.Millisecond)}
		ctx, stop := context.WithCancel(t.Context())
		others := 0
		var states []bool // whether it was broken
		err := Subscription{Reader: reader, Limit: 10, Apply: func(batch []events.Recorded) error {
			for _, e := range batch {
				if e.Partition == 1 {
					stop()
				} else {
					others++
				}
			}
			return nil
		}, Broken: func(p int, err error) { states = append(states, p == 1 && err != nil) }}.Run(ctx)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]bool{true, true, true, false}, states); diff != "" {
			t.Errorf("the partition is broken (-want +got):\n%s", diff)
		}
		if others < 13 || reader.asked > 5 {
			t.Errorf("%d events of the other partition, %d attempts to read the broken one", others, reader.asked)
		}
	})
}

func TestGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		grace, cancel := Grace(ctx)
		defer cancel()
		stop()
		stopped := time.Now()
		<-grace.Done()
		if spent := time.Since(stopped); spent != graceTimeout {
			t.Errorf("it ended after %s", spent)
		}
	})
}
