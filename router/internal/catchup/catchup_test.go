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

// batches is a reader that returns one batch after the other, and then no events.
type batches [][]events.Recorded

func (b *batches) Partitions() int { return 2 }

func (b *batches) Read(ctx context.Context, _ events.Cursor, _ int, wait time.Duration) ([]events.Recorded, error) {
	if len(*b) > 0 {
		next := (*b)[0]
		*b = (*b)[1:]
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

func TestSubscribe(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, tt := range []struct {
		name   string
		reader batches
		fail   error
		want   []int // sizes of the batches applied
		code   string
	}{
		{"until it is stopped", batches{{at(0, 1), at(1, 1)}, {at(0, 2)}}, nil, []int{2, 1, 0}, ""},
		{"an event is repeated", batches{{at(0, 1)}, {at(0, 1)}}, nil, []int{1}, events.CodeInternal},
		{"events are out of order", batches{{at(1, 2), at(1, 1)}}, nil, nil, events.CodeInternal},
		{"applying fails", batches{{at(0, 1)}, {at(0, 2)}}, boom, []int{1}, events.CodeInternal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				var sizes []int
				err := Subscribe(ctx, &tt.reader, nil, 10, func(batch []events.Recorded) error {
					sizes = append(sizes, len(batch))
					if len(batch) == 0 {
						stop()
					}
					return tt.fail
				})
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
