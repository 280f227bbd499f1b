package catchup

import (
	"context"
	"errors"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// intake is where a subscription has got to.
type intake struct {
	Subscription
	cursor events.Cursor
	broken map[int]time.Time // partitions that cannot be read on, until when they are left alone
}

// read returns the next batch.
func (in *intake) read(ctx context.Context) ([]events.Recorded, error) {
	from := in.cursor.Clone(0)
	now := time.Now()
	for p := range from {
		if now.Before(in.broken[p]) || in.Skip != nil && in.Skip(p) {
			from[p] = events.Nowhere
		}
	}
	batch, err := in.Reader.Read(ctx, from, in.Limit, readWait)
	var broken events.PartitionErrors
	if err != nil && !errors.As(err, &broken) {
		return nil, err
	}
	for p := range from {
		if from[p] != events.Nowhere {
			in.note(p, broken[p])
		}
	}
	return batch, advanceInOrder(in.cursor, batch)
}

// note keeps that a partition can be read on, or not.
func (in *intake) note(p int, err error) {
	_, was := in.broken[p]
	switch {
	case err != nil:
		in.broken[p] = time.Now().Add(brokenPause)
	case was:
		delete(in.broken, p)
	default:
		return
	}
	if in.Broken != nil {
		in.Broken(p, err)
	}
}
