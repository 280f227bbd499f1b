package routertest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// attendance is how long an instance counts as living after [Ledger.Attend].
const attendance = 30 * time.Second

// Ledger keeps the ledgers of handlers in memory: it implements [router.Ledger] and
// [router.AuditLedger]. The zero value is an empty one. It is safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex
	books   map[string]*book
	reports map[string]events.LedgerReport
}

// book is the ledger of one handler.
type book struct {
	state     events.LedgerState
	settled   map[events.LogPosition]bool // beyond the watermark
	places    map[events.LogPosition]events.Place
	round     events.LedgerRound
	instances map[string]instance
}

// instance is one that consumes a handler's queue.
type instance struct {
	until   time.Time // when it counts as dead
	cleared uint64
}

// of returns the ledger of a handler. It is called with mu held.
func (l *Ledger) of(handler string) *book {
	if l.books == nil {
		l.books = map[string]*book{}
	}
	b := l.books[handler]
	if b == nil {
		b = &book{settled: map[events.LogPosition]bool{}, places: map[events.LogPosition]events.Place{}, instances: map[string]instance{}}
		l.books[handler] = b
	}
	return b
}

func (b *book) standing(at events.LogPosition) events.Standing {
	switch {
	case at.Partition < 0 || len(b.state.Terms) == 0 || at.Position <= b.state.Terms[0].After.At(at.Partition):
		return events.NotOwed
	case at.Position <= b.state.Watermark.At(at.Partition) || b.settled[at]:
		return events.Settled
	}
	return events.Open
}

// BeginLedger begins a handler's ledger with a term, or adds the term if its types differ
// from those of the last one.
func (l *Ledger) BeginLedger(_ context.Context, handler string, t events.LedgerTerm) ([]events.LedgerTerm, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.of(handler).state
	if len(s.Terms) == 0 {
		s.Watermark, s.Audited = t.After.Clone(0), t.After.Clone(0)
	}
	s.Terms = events.AddLedgerTerm(s.Terms, t)
	return slices.Clone(s.Terms), nil
}

// Standing returns what the ledger says about an event.
func (l *Ledger) Standing(_ context.Context, handler string, at events.LogPosition) (events.Standing, error) {
	at.Log = "" // There is one log.
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of(handler).standing(at), nil
}

// Settle settles an event, and forgets its place.
func (l *Ledger) Settle(handler string, at events.LogPosition, how events.Settlement) {
	at.Log = "" // There is one log.
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(handler)
	if b.standing(at) != events.Open {
		return
	}
	b.settled[at] = true
	delete(b.places, at)
	if how == events.Discarded {
		b.state.Discarded++
	} else {
		b.state.Handled++
	}
}

// SyncLedger returns at once: everything is stored.
func (*Ledger) SyncLedger(context.Context, string) error { return nil }

// SetPlace records where an open event is.
func (l *Ledger) SetPlace(_ context.Context, handler string, at events.LogPosition, p events.Place) error {
	at.Log = "" // There is one log.
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(handler)
	if p == (events.Place{}) {
		delete(b.places, at)
	} else if b.standing(at) == events.Open {
		b.places[at] = p
	}
	return nil
}

// Attend tells for 30 s that an instance consumes the handler's queue.
func (l *Ledger) Attend(_ context.Context, handler, id string, cleared uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(handler)
	b.instances[id] = instance{time.Now().Add(attendance), cleared}
	return b.round.Passed, nil
}

// Leave ends what Attend has told.
func (l *Ledger) Leave(_ context.Context, handler, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of(handler).instances, id)
	return nil
}

// MarkPassed records that a mark has arrived.
func (l *Ledger) MarkPassed(_ context.Context, handler string, mark uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(handler)
	b.round.Passed = max(b.round.Passed, mark)
	return nil
}

// LedgerState returns a handler's ledger without its bits.
func (l *Ledger) LedgerState(_ context.Context, handler string) (events.LedgerState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.of(handler).state
	s.Terms, s.Watermark, s.Audited = slices.Clone(s.Terms), s.Watermark.Clone(0), s.Audited.Clone(0)
	return s, nil
}

// LedgerBits returns the bits of chunks.
func (l *Ledger) LedgerBits(_ context.Context, handler string, chunks []events.LedgerChunk) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[events.LedgerChunk][]byte{}
	for at := range l.of(handler).settled {
		c, bit := events.ChunkOf(at)
		if found[c] == nil {
			found[c] = make([]byte, events.ChunkPositions/8)
		}
		found[c][bit/8] |= 0x80 >> (bit % 8)
	}
	out := make([][]byte, len(chunks))
	for i, c := range chunks {
		out[i] = slices.Clone(found[c])
	}
	return out, nil
}

// LedgerPlaces returns the places of all open events that have one.
func (l *Ledger) LedgerPlaces(_ context.Context, handler string) (map[events.LogPosition]events.Place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.of(handler).places), nil
}

// AdvanceLedger moves the audit of a handler forward.
func (l *Ledger) AdvanceLedger(_ context.Context, handler string, a events.LedgerAdvance) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(handler)
	moved := !sameCursor(a.From, b.state.Audited) || a.FromWatermark != nil && !sameCursor(a.FromWatermark, b.state.Watermark) ||
		a.FromTerms != 0 && a.FromTerms != len(b.state.Terms)
	if len(b.state.Terms) == 0 || moved {
		return events.Errorf(events.CodeCursorMoved, "another instance has audited %s meanwhile", handler).MayRetry()
	}
	b.state.Audited = a.Audited.Clone(0)
	b.state.Events += a.Events
	b.state.Watermark = b.state.Watermark.Clone(len(a.Watermark))
	for p, position := range a.Watermark {
		b.state.Watermark[p] = max(b.state.Watermark[p], position)
	}
	maps.DeleteFunc(b.settled, func(at events.LogPosition, _ bool) bool {
		c, _ := events.ChunkOf(at)
		return (c.Number+1)*events.ChunkPositions <= b.state.Watermark.At(at.Partition)
	})
	return nil
}

func sameCursor(a, b events.Cursor) bool {
	n := max(len(a), len(b))
	return slices.Equal(a.Clone(n), b.Clone(n))
}

// SendMark returns the number of the next mark.
func (l *Ledger) SendMark(_ context.Context, handler string) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(handler)
	b.round.Sent++
	return b.round.Sent, nil
}

// LedgerRound returns how far the marks have been answered.
func (l *Ledger) LedgerRound(_ context.Context, handler string) (events.LedgerRound, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of(handler)
	maps.DeleteFunc(b.instances, func(_ string, i instance) bool { return time.Now().After(i.until) })
	r := b.round
	for id, i := range b.instances {
		if len(r.Instances) == 0 || i.cleared < r.Cleared {
			r.Cleared = i.cleared
		}
		r.Instances = append(r.Instances, id)
	}
	slices.Sort(r.Instances)
	return r, nil
}

// SaveLedgerReport replaces the report of a handler.
func (l *Ledger) SaveLedgerReport(_ context.Context, r events.LedgerReport) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reports == nil {
		l.reports = map[string]events.LedgerReport{}
	}
	l.reports[r.Handler] = r
	return nil
}

// LedgerReports returns the last report of every handler, by name.
func (l *Ledger) LedgerReports(context.Context) (map[string]events.LedgerReport, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.reports), nil
}

// RenameLedger joins the ledger of a handler with that of another one, and removes it.
func (l *Ledger) RenameLedger(_ context.Context, from, to string) error {
	if from == to {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	former, own := l.of(from), l.of(to)
	var spans []events.LedgerSpan
	own.state, spans = events.JoinLedgers(former.state, own.state)
	for _, s := range spans {
		for p := s.After + 1; p <= s.UpTo; p++ {
			own.settled[events.LogPosition{Partition: s.Partition, Position: p}] = true
		}
	}
	maps.Copy(own.settled, former.settled)
	maps.Copy(former.places, own.places)
	own.places = former.places
	maps.DeleteFunc(own.places, func(at events.LogPosition, _ events.Place) bool { return own.standing(at) != events.Open })
	delete(l.books, from)
	delete(l.reports, from)
	return nil
}

// RemoveLedger removes a handler's ledger, its places and its report.
func (l *Ledger) RemoveLedger(_ context.Context, handler string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.books, handler)
	delete(l.reports, handler)
	return nil
}
