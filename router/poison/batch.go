package poison

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/pitwheel/pitwheel/router/backoff"
)

const (
	// maxBatch is how many messages are processed together: what a process that is killed
	// may leave half done.
	maxBatch = 64
	// maxBatchBytes bounds their bodies, since a single one may have many megabytes.
	maxBatchBytes = 8 << 20
	// batchTimeout bounds the batch in progress when an operation is interrupted.
	batchTimeout = 30 * time.Second
)

// Options control an operation on many messages. The zero value is ready.
type Options struct {
	// Who requested the operation, and Why, for the audit trail.
	Who, Why string
	// Interval is the least time that each message takes; 0: as fast as possible.
	Interval time.Duration
	// Progress, if not nil, is called after each batch with the number of its messages.
	Progress func(messages int)
	// Retried, if not nil, is called with the messages that were given back to their
	// handlers, after each batch. They have no bodies.
	Retried func(messages []Message)
}

// batches calls do with the messages of a sequence, at most n at a time, whose bodies
// have at most maxBatchBytes together unless a single one has more.
func batches(seq iter.Seq2[Message, error], n int, do func([]Message) error) error {
	var batch []Message
	size := 0
	for m, err := range seq {
		if err != nil {
			return err
		}
		if len(batch) == n || len(batch) > 0 && size+m.Size > maxBatchBytes {
			if err := do(batch); err != nil {
				return err
			}
			batch, size = batch[:0], 0
		}
		batch, size = append(batch, m), size+m.Size
	}
	if len(batch) == 0 {
		return nil
	}
	return do(batch)
}

// run calls work with all messages of a plan, in batches, and returns what it counted. No
// other operation works on them at the same time. An error of work ends the operation.
func (a *Admin) run(ctx context.Context, p Plan, o Options, work func(context.Context, []Message, *Tally) error) (Tally, error) {
	t := p.Tally
	t.Problems = slices.Clone(t.Problems)
	n := maxBatch
	if o.Interval > 0 { // Small batches, so that the rate is even.
		n = int(min(maxBatch, max(1, 100*time.Millisecond/o.Interval)))
	}
	began, worked := time.Now(), 0
	err := batches(a.planned(ctx, p), n, func(batch []Message) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		// An interruption lets the batch in progress finish, so that nothing is half done.
		finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTimeout)
		defer cancel()
		err := a.exclusively(ctx, finishing, batch, &t, work)
		if o.Progress != nil {
			o.Progress(len(batch))
		}
		worked += len(batch)
		if err != nil {
			return err
		}
		if left := time.Until(began.Add(time.Duration(worked) * o.Interval)); left > 0 {
			backoff.Wait(ctx, left)
		}
		return ctx.Err()
	})
	return t, err
}

// planned returns the messages of a plan, the oldest failure first.
func (a *Admin) planned(ctx context.Context, p Plan) iter.Seq2[Message, error] {
	if !p.byID {
		return a.store.PoisonMessages(ctx, p.filter, OldestFirst)
	}
	return func(yield func(Message, error) bool) {
		for _, m := range p.messages {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// whole loads the messages of a batch, whole; those that are gone are left out.
func (a *Admin) whole(ctx context.Context, heads []Message) ([]Message, error) {
	return a.store.LoadPoison(ctx, idsOf(heads)...)
}
