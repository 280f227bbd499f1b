package audit

import (
	"context"
	"maps"
	"math/bits"
	"slices"

	"github.com/pitwheel/pitwheel/events"
)

// Handler is a reaction as the auditor sees it.
type Handler struct {
	Name, Queue, Topic string
}

// chunk has one bit for each position; see [events.LedgerChunk].
type chunk = [events.ChunkPositions / 8]byte

// account is what the auditor knows about one handler.
type account struct {
	Handler
	state events.LedgerState
	// owed has a bit for each event beyond the watermark that the handler owes.
	owed  map[events.LedgerChunk]*chunk
	round round

	verification verification
	wrong        bool // the books do not add up, and that was logged
}

func newAccount(h Handler, state events.LedgerState, partitions int) *account {
	state.Watermark, state.Audited = state.Watermark.Clone(partitions), state.Audited.Clone(partitions)
	for p, at := range state.Terms[0].After.Clone(partitions) { // What is before the first term is not owed.
		state.Watermark[p], state.Audited[p] = max(state.Watermark[p], at), max(state.Audited[p], at)
	}
	return &account{Handler: h, state: state, owed: map[events.LedgerChunk]*chunk{}}
}

// owes reports whether the handler owes an event an answer.
func (a *account) owes(e *events.Recorded) bool { return events.Owed(a.state.Terms, e.At(), e.Type) }

// add adds an event of the log. Each partition's events come in order.
func (a *account) add(e *events.Recorded) {
	if e.Position <= a.state.Watermark[e.Partition] || !a.owes(e) {
		return
	}
	c, bit := events.ChunkOf(e.At())
	set := a.owed[c]
	if set == nil {
		set = new(chunk)
		a.owed[c] = set
	}
	set[bit/8] |= 0x80 >> (bit % 8)
}

// owedBetween returns how many events the handler owes after one cursor and up to another.
// They are beyond the watermark.
func (a *account) owedBetween(after, upTo events.Cursor) (n uint64) {
	for ref, set := range a.owed {
		from, to := after.At(ref.Partition), upTo.At(ref.Partition)
		first, last := position(ref, 0), position(ref, events.ChunkPositions-1)
		switch {
		case last <= from || first > to:
		case first > from && last <= to:
			for _, v := range set {
				n += uint64(bits.OnesCount8(v)) //nolint:gosec // It is not negative.
			}
		default:
			for b, v := range set {
				for ; v != 0; v &^= 0x80 >> bits.LeadingZeros8(v) {
					if at := position(ref, 8*b+bits.LeadingZeros8(v)); at > from && at <= to {
						n++
					}
				}
			}
		}
	}
	return n
}

// openSet is the events that a handler has not settled.
type openSet struct {
	chunks map[events.LedgerChunk]*chunk
	n      uint64
	first  map[int]uint64 // the first open position of each partition that has one
}

// open returns what is open, given the ledger's bits, and forgets chunks in which nothing is.
func (a *account) open(ctx context.Context, l Ledger) (openSet, error) {
	out := openSet{chunks: map[events.LedgerChunk]*chunk{}, first: map[int]uint64{}}
	if len(a.owed) == 0 {
		return out, nil
	}
	refs := slices.Collect(maps.Keys(a.owed))
	settled, err := l.LedgerBits(ctx, a.Name, refs)
	if err != nil {
		return out, err
	}
	for i, ref := range refs {
		left := *a.owed[ref]
		n := 0
		for b := range left {
			if b < len(settled[i]) {
				left[b] &^= settled[i][b]
			}
			n += bits.OnesCount8(left[b])
		}
		if n == 0 {
			// What is settled stays settled. A chunk that is not audited to its end may have more.
			if position(ref, events.ChunkPositions-1) <= a.state.Audited[ref.Partition] {
				delete(a.owed, ref)
			}
			continue
		}
		out.chunks[ref] = &left
		out.n += uint64(n) //nolint:gosec // It is not negative.
		if at := firstOf(ref, &left); out.first[ref.Partition] == 0 || at < out.first[ref.Partition] {
			out.first[ref.Partition] = at
		}
	}
	return out, nil
}

// forget drops the chunks that the watermark has passed.
func (a *account) forget() {
	for ref := range a.owed {
		if (ref.Number+1)*events.ChunkPositions <= a.state.Watermark[ref.Partition] {
			delete(a.owed, ref)
		}
	}
}

func firstOf(ref events.LedgerChunk, c *chunk) uint64 {
	for b, v := range c {
		if v != 0 {
			return position(ref, 8*b+bits.LeadingZeros8(v))
		}
	}
	return 0
}

func position(ref events.LedgerChunk, bit int) uint64 {
	return ref.Number*events.ChunkPositions + uint64(bit) + 1 //nolint:gosec // A bit is not negative.
}

// has reports whether an event is open.
func (s openSet) has(at events.LogPosition) bool {
	c, bit := events.ChunkOf(at)
	set := s.chunks[c]
	return set != nil && set[bit/8]&(0x80>>(bit%8)) != 0
}

// all calls yield with each open event, those of a partition in order, until it returns false.
func (s openSet) all(yield func(events.LogPosition) bool) {
	refs := slices.SortedFunc(maps.Keys(s.chunks), func(a, b events.LedgerChunk) int {
		if a.Partition != b.Partition {
			return a.Partition - b.Partition
		}
		return compare(a.Number, b.Number)
	})
	for _, ref := range refs {
		for b, v := range s.chunks[ref] {
			for ; v != 0; v &^= 0x80 >> bits.LeadingZeros8(v) {
				if !yield(events.LogPosition{Partition: ref.Partition, Position: position(ref, 8*b+bits.LeadingZeros8(v))}) {
					return
				}
			}
		}
	}
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
