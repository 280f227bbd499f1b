package audit

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// verifyEvery is how often it is verified that poison messages are where the ledger says.
	verifyEvery = time.Minute
	// verifyBatch bounds how many of a handler are verified each time; all get their turn.
	verifyBatch = 200
)

// verification is how far an account's poison messages were verified.
type verification struct {
	last   time.Time
	upTo   events.LogPosition
	absent map[events.LogPosition]bool // that were not in the store the last time
}

// verify forgets the place of events that the ledger says are poison messages, and that are
// neither in the poison queue nor in the poison store, as after the queue was purged: a search
// then finds them missing.
func (b *books) verify(ctx context.Context, a *account, s *sorted, now time.Time) error {
	v := &a.verification
	if b.InPoisonStore == nil || now.Sub(v.last) < verifyEvery {
		return nil
	}
	batch := v.next(s)
	if len(batch) == 0 {
		return nil
	}
	v.last = now
	queued, _, err := b.Transport.QueueDepth(ctx, "", events.PoisonQueue(a.Queue))
	if err != nil || queued > 0 {
		return err // What is on its way to the store is not absent.
	}
	ids := make([]string, len(batch))
	for i, at := range batch {
		e, err := b.read(ctx, at.Partition, at.Position, 1)
		if err != nil {
			return err
		}
		if len(e) > 0 {
			ids[i] = e[0].ID
		}
	}
	has, err := b.InPoisonStore(ctx, a.Name, ids)
	if err != nil {
		return err
	}
	absent := map[events.LogPosition]bool{}
	for i, at := range batch {
		switch {
		case has[i]:
		case !v.absent[at]:
			absent[at] = true // It may be on its way between the two.
		default:
			b.Logger.WarnContext(ctx, "a poison message is neither in its queue nor in the poison store", slog.String("handler", a.Name), slog.Int("partition", at.Partition), slog.Uint64("position", at.Position))
			if err := b.Ledger.SetPlace(ctx, a.Name, at, events.Place{}); err != nil {
				return err
			}
			delete(s.places, at)
		}
	}
	v.absent = absent
	return nil
}

// next returns the poison messages to verify: those that were absent the last time, and those
// whose turn it is.
func (v *verification) next(s *sorted) []events.LogPosition {
	poisoned := func(at events.LogPosition) bool { return s.places[at].Kind == events.PlacePoison && s.open.has(at) }
	out := slices.DeleteFunc(slices.Collect(maps.Keys(v.absent)), func(at events.LogPosition) bool { return !poisoned(at) })
	all := slices.SortedFunc(maps.Keys(s.places), comparePositions)
	from, _ := slices.BinarySearchFunc(all, v.upTo, comparePositions)
	v.upTo = events.LogPosition{}
	for _, at := range all[from:] {
		if len(out) >= verifyBatch {
			v.upTo = at
			break
		}
		if poisoned(at) && !v.absent[at] {
			out = append(out, at)
		}
	}
	return out
}

func comparePositions(a, b events.LogPosition) int {
	if a.Partition != b.Partition {
		return a.Partition - b.Partition
	}
	return compare(a.Position, b.Position)
}
