package audit

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/sync/errgroup"

	"github.com/pitwheel/pitwheel/events"
	"github.com/pitwheel/pitwheel/router/internal/codec"
)

const (
	// healBatch bounds the events of one handler that are delivered again at one look.
	healBatch = 2000
	// maxQueued bounds how many events are open that were delivered again: a handler that is
	// given its whole history gets it at its own speed.
	maxQueued = 10_000
	// healConcurrency is how many places are recorded at once; they share round trips.
	healConcurrency = 64
)

// heal delivers missing events again, in the order of the log, to their handler alone: as many
// as one look allows. What is settled or has a place by now is left out.
func (b *books) heal(ctx context.Context, a *account, s *sorted) error {
	r := &a.round
	queued := 0
	for _, p := range s.places {
		if p.Kind == events.PlaceQueued {
			queued++
		}
	}
	room := min(healBatch, maxQueued-queued)
	var batch []events.LogPosition
	rest := openSet{chunks: map[events.LedgerChunk]*chunk{}, first: map[int]uint64{}}
	for at := range r.missing.all {
		switch {
		case !s.open.has(at) || explains(s.places[at], r.since):
		case len(batch) < room:
			batch = append(batch, at)
		default:
			rest.add(at)
		}
	}
	if len(batch) > 0 {
		n, err := b.deliver(ctx, a, batch)
		if n > 0 {
			r.healed += uint64(n) //nolint:gosec // It is not negative.
			b.Healed(a.Name, n)
			b.Logger.WarnContext(ctx, "missing events delivered again", slog.String("handler", a.Name), slog.String("queue", a.Queue), slog.Int("events", n), slog.Uint64("left", rest.n))
		}
		if err != nil {
			return err // What was not delivered is looked for again.
		}
	}
	s.missing = rest.n
	if r.missing = &rest; rest.n == 0 {
		r.reset()
	}
	return nil
}

// deliver publishes events into the handler's queue, and returns how many.
func (b *books) deliver(ctx context.Context, a *account, batch []events.LogPosition) (int, error) {
	epoch, err := b.Reader.Epoch(ctx)
	if err != nil {
		return 0, err
	}
	var msgs []*message.Message
	var at []events.LogPosition
	for len(batch) > 0 {
		// Events that are close together in a partition are read at once.
		n := 1
		for n < len(batch) && batch[n].Partition == batch[0].Partition && batch[n].Position < batch[0].Position+readLimit {
			n++
		}
		wanted := map[uint64]bool{}
		for _, p := range batch[:n] {
			wanted[p.Position] = true
		}
		read, err := b.read(ctx, batch[0].Partition, batch[0].Position, int(batch[n-1].Position-batch[0].Position)+1) //nolint:gosec // At most readLimit.
		if err != nil {
			return 0, err
		}
		for i := range read {
			if !wanted[read[i].Position] {
				continue
			}
			msg := codec.EncodeRecorded(&read[i], epoch)
			msg.Metadata[events.MetaHealed] = "true"
			msgs, at = append(msgs, msg), append(at, read[i].At())
		}
		batch = batch[n:]
	}
	if len(msgs) == 0 {
		return 0, nil
	}
	// The place first: an event that arrives before it is recorded would be settled already,
	// and nothing is recorded of settled ones.
	if err := b.setQueued(ctx, a, at); err != nil {
		return 0, err
	}
	for _, msg := range msgs {
		msg.SetContext(ctx)
	}
	if err := b.Transport.QueuePublisher().Publish(a.Queue, msgs...); err != nil {
		return 0, err
	}
	return len(msgs), nil
}

func (b *books) setQueued(ctx context.Context, a *account, at []events.LogPosition) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(healConcurrency)
	now := time.Now()
	for _, p := range at {
		group.Go(func() error {
			return b.Ledger.SetPlace(ctx, a.Name, p, events.Place{Kind: events.PlaceQueued, Until: now})
		})
	}
	return group.Wait()
}
