package audit

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

const (
	// markType is the type of a mark, which is not an event of any catalogue.
	markType = "pitwheel.mark"
	// depthEvery is how often the broker is asked how many messages wait in a queue.
	depthEvery = 5 * time.Second
	// A mark that has not arrived is sent again after firstResend, later twice as long, up to
	// maxResend: it may be behind a long queue, or have been lost with it.
	firstResend = 30 * time.Second
	maxResend   = 10 * time.Minute
	// idleLooks is how many looks in a row, depthEvery apart, must find fewer messages in a
	// queue than are open, where nobody consumes it.
	idleLooks = 3
)

// round is one question to all instances of a handler: is anything left of what was published
// before this mark?
type round struct {
	mark      uint64 // 0: none is under way
	sent      time.Time
	relayed   events.Cursor // what was published before
	instances []string
	resend    time.Duration
	// suspects is what the round before has found; nil if this is the first one.
	suspects *openSet
	// missing is what is still to be delivered again.
	missing *openSet
	// since is when their absence was asked for: what has got a place since is not missing.
	since time.Time

	asked  time.Time // when the depth of the queue was asked last
	empty  int       // looks in a row that found too little in the queue
	depth  uint64    // what the last of them has found
	healed uint64    // since the ledger began
}

// reset forgets the round, as when there is nothing to look for.
func (r *round) reset() { *r = round{healed: r.healed} }

// search looks for open events that nothing accounts for, one step at a time, and delivers
// those again that are missing. The round must have been read before the open events: an
// event may be settled in between, and must not be suspected then.
func (b *books) search(ctx context.Context, a *account, s *sorted, answered events.LedgerRound, now time.Time) error {
	r := &a.round
	if r.missing != nil {
		return b.heal(ctx, a, s)
	}
	due, ok := b.due(now)
	if !ok {
		return nil
	}
	n := s.unexplained(due, now.Add(-b.Skew)).n
	switch {
	case n == 0:
		r.reset()
		return nil
	case len(answered.Instances) == 0:
		r.mark, r.suspects = 0, nil
		return b.searchIdle(ctx, a, s, due, now)
	case r.mark == 0, !slices.Equal(r.instances, answered.Instances):
		// An instance that is gone has given back what it had, which may be behind the mark now.
		r.suspects = nil
		return b.sendMark(ctx, a, answered.Instances, now)
	case answered.Passed >= r.mark && answered.Cleared >= r.mark:
		return b.conclude(ctx, a, s, answered.Instances, now)
	case answered.Passed < r.mark:
		return b.awaitMark(ctx, a, answered.Instances, now)
	}
	return nil // It has passed, and some instance still has what it had then.
}

// unexplained returns the open events up to a cursor that nothing accounts for in a round
// whose mark was sent at the given time.
func (s *sorted) unexplained(upTo events.Cursor, sent time.Time) openSet {
	out := openSet{chunks: map[events.LedgerChunk]*chunk{}, first: map[int]uint64{}}
	for at := range s.open.all {
		if at.Position <= upTo.At(at.Partition) && !explains(s.places[at], sent) {
			out.add(at)
		}
	}
	return out
}

func explains(p events.Place, sent time.Time) bool {
	switch p.Kind {
	case events.PlacePoison, events.PlaceParked:
		return true
	case events.PlaceDelayed, events.PlaceQueued:
		return p.Until.After(sent) // It may have come into the queue behind the mark.
	case events.PlaceMissing:
	}
	return false
}

func (s *openSet) add(at events.LogPosition) {
	c, bit := events.ChunkOf(at)
	set := s.chunks[c]
	if set == nil {
		set = new(chunk)
		s.chunks[c] = set
	}
	set[bit/8] |= 0x80 >> (bit % 8)
	s.n++
	if first := s.first[at.Partition]; first == 0 || at.Position < first {
		s.first[at.Partition] = at.Position
	}
}

// sendMark begins a round.
func (b *books) sendMark(ctx context.Context, a *account, instances []string, now time.Time) error {
	r := &a.round
	mark, err := b.Ledger.SendMark(ctx, a.Name)
	if err != nil {
		return err
	}
	msg := message.NewMessage(events.NewID(), []byte("{}"))
	msg.Metadata = message.Metadata{events.MetaType: markType, events.MetaMark: strconv.FormatUint(mark, 10)}
	msg.SetContext(ctx)
	r.mark, r.sent, r.instances = 0, now, instances
	r.relayed = b.relayed[len(b.relayed)-1].cursor
	switch err := b.Transport.Mark(ctx, a.Topic, a.Queue, msg); {
	case events.CodeOf(err) == events.CodeNotFound:
		return b.declareAgain(ctx, a) // A mark follows at the next look.
	case err != nil:
		return err
	}
	r.mark = mark
	r.resend = max(r.resend, firstResend)
	return nil
}

// declareAgain declares the queue of a handler, which somebody has deleted.
func (b *books) declareAgain(ctx context.Context, a *account) error {
	b.Logger.WarnContext(ctx, "the queue of a handler does not exist and is declared again", slog.String("handler", a.Name), slog.String("queue", a.Queue))
	return b.Declare(ctx, a.Name)
}

// awaitMark waits for a mark, and sends it again if it seems to be lost.
func (b *books) awaitMark(ctx context.Context, a *account, instances []string, now time.Time) error {
	r := &a.round
	if now.Sub(r.sent) >= r.resend {
		r.resend = min(2*r.resend, maxResend)
		return b.sendMark(ctx, a, instances, now)
	}
	if now.Sub(r.asked) < min(depthEvery, 5*b.Interval) {
		return nil
	}
	r.asked = now
	n, exists, err := b.Transport.QueueDepth(ctx, a.Topic, a.Queue)
	switch {
	case err != nil:
		return err
	case !exists:
		r.mark = 0
		return b.declareAgain(ctx, a)
	case n > 0:
		r.empty = 0
		return nil
	}
	// The mark may have been received since it was looked for, but not twice.
	if r.empty++; r.empty > 1 {
		r.empty = 0
		return b.sendMark(ctx, a, instances, now)
	}
	return nil
}

// conclude ends a round. What two rounds in a row have found nowhere is missing.
func (b *books) conclude(ctx context.Context, a *account, s *sorted, instances []string, now time.Time) error {
	r := &a.round
	found := s.unexplained(r.relayed, r.sent.Add(-b.Skew))
	if found.n == 0 {
		r.reset() // A later look begins anew.
		return nil
	}
	if r.suspects == nil {
		r.suspects = &found
		return b.sendMark(ctx, a, instances, now)
	}
	missing := openSet{chunks: map[events.LedgerChunk]*chunk{}, first: map[int]uint64{}}
	for at := range found.all {
		if r.suspects.has(at) {
			missing.add(at)
		}
	}
	since := r.sent.Add(-b.Skew)
	r.reset()
	if missing.n == 0 {
		return nil
	}
	r.missing, r.since = &missing, since
	b.logMissing(ctx, a)
	return b.heal(ctx, a, s)
}

// searchIdle looks for events of a handler that no living instance consumes. What its queue
// lacks is missing, but only if the queue is empty it is known which events that are.
func (b *books) searchIdle(ctx context.Context, a *account, s *sorted, due events.Cursor, now time.Time) error {
	r := &a.round
	found := s.unexplained(due, now.Add(-b.Skew))
	if now.Sub(r.asked) >= min(depthEvery, 5*b.Interval) {
		r.asked = now
		n, exists, err := b.Transport.QueueDepth(ctx, a.Topic, a.Queue)
		if err != nil {
			return err
		}
		if !exists {
			if err := b.declareAgain(ctx, a); err != nil {
				return err
			}
		}
		left, err := b.Transport.Unacknowledged(ctx, a.Topic, a.Queue)
		if err != nil {
			return err
		}
		n = max(n, 0) + left
		if r.empty++; uint64(max(n, 0)) >= found.n { //nolint:gosec // It is not negative.
			r.empty = 0
		}
		r.depth = uint64(max(n, 0)) //nolint:gosec // It is not negative.
	}
	if r.empty < idleLooks {
		return nil
	}
	s.missing = found.n - min(r.depth, found.n)
	if r.depth > 0 || s.missing == 0 {
		return nil
	}
	r.reset()
	r.missing, r.since = &found, now.Add(-b.Skew)
	b.logMissing(ctx, a)
	return b.heal(ctx, a, s)
}

func (b *books) logMissing(ctx context.Context, a *account) {
	m := a.round.missing
	for at := range m.all {
		b.Logger.ErrorContext(ctx, "events are missing: they were published, and are neither settled nor anywhere else; they are delivered again",
			slog.String("handler", a.Name), slog.String("queue", a.Queue), slog.Uint64("events", m.n), slog.Int("first_partition", at.Partition), slog.Uint64("first_position", at.Position))
		return
	}
}
