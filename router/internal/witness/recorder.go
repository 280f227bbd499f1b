// Package witness records outside of the store how far the log is published.
package witness

import (
	"context"

	"github.com/pitwheel/pitwheel/events"
)

// Witness is where it is recorded; see router.Witness, which has these methods.
type Witness interface {
	Witnessed(ctx context.Context) (events.Witnessed, error)
	Record(ctx context.Context, w events.Witnessed) (confirmed func() error, err error)
}

// Recorder records the batches of the relay. It is used from one goroutine. The zero value
// records nothing.
type Recorder struct {
	witness   Witness
	epoch     func() uint64
	published events.Cursor // all that this process knows; nil before Begin
}

// NewRecorder returns a recorder for a log whose epoch has the number that epoch returns.
func NewRecorder(w Witness, epoch func() uint64) Recorder { return Recorder{witness: w, epoch: epoch} }

// Begin is called when this process becomes the leader: each record has the positions of
// all partitions, also of those that others have published so far.
func (r *Recorder) Begin(ctx context.Context) error {
	if r.witness == nil {
		return nil
	}
	witnessed, err := r.witness.Witnessed(ctx)
	if err != nil {
		return err
	}
	r.published = witnessed.Positions
	return nil
}

// Record records the events of a batch, which is then published; confirmed is to be called
// before the batch counts as published.
func (r *Recorder) Record(ctx context.Context, batch []events.Recorded) (confirmed func() error, err error) {
	if r.witness == nil || len(batch) == 0 {
		return func() error { return nil }, nil
	}
	for i := range batch {
		e := &batch[i]
		if e.Partition >= len(r.published) {
			r.published = r.published.Clone(e.Partition + 1)
		}
		r.published[e.Partition] = max(r.published[e.Partition], e.Position)
	}
	return r.witness.Record(ctx, events.Witnessed{Epoch: r.epoch(), Positions: r.published.Clone(0)})
}
