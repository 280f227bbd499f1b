package ledger

import (
	"time"

	"github.com/pitwheel/pitwheel/events"
)

// aheadTTL is how long a lookup made ahead is valid. A duplicate that another instance
// handles in that time is not recognised, as it would not be if both handled it at once.
const aheadTTL = 500 * time.Millisecond

// ahead holds lookups of events whose messages have just been read: a subscriber looks up all
// of a batch at once, before their handler does. Each is taken once. Those that are not taken
// are dropped with their generation. The caller holds the book's lock.
type ahead struct {
	current, previous map[events.LedgerChunk]*looked
	since             time.Time // when current began

	running int    // lookups under way
	changed chunks // what was stored meanwhile
}

// looked are lookups of a chunk.
type looked struct{ known, settled bits }

// rotate begins a new generation if it is time to.
func (a *ahead) rotate() {
	switch age := time.Since(a.since); {
	case age < aheadTTL/2:
		return
	case age < aheadTTL:
		a.previous = a.current
	default:
		a.previous = nil
	}
	a.current, a.since = map[events.LedgerChunk]*looked{}, time.Now()
}

// take returns the lookup of an event, once.
func (a *ahead) take(c events.LedgerChunk, bit int) (settled, known bool) {
	a.rotate()
	for _, of := range [...]map[events.LedgerChunk]*looked{a.current, a.previous} {
		if l := of[c]; l != nil && l.known.has(bit) {
			l.known.unset(bit)
			return l.settled.has(bit), true
		}
	}
	return false, false
}

// forget drops the lookups of events whose bits have been stored: they may have been carried
// out before.
func (a *ahead) forget(c events.LedgerChunk, stored *bits) {
	for _, of := range [...]map[events.LedgerChunk]*looked{a.current, a.previous} {
		if l := of[c]; l != nil {
			l.known.remove(stored)
		}
	}
	if a.running > 0 {
		a.changed.of(c).add(stored)
	}
}

// begin begins a lookup.
func (a *ahead) begin() {
	if a.running++; a.changed == nil {
		a.changed = chunks{}
	}
}

// end ends a lookup of some events, which may have no answers.
func (a *ahead) end(positions []events.LogPosition, answers []events.Standing) {
	a.rotate()
	for i, standing := range answers {
		c, bit := events.ChunkOf(positions[i])
		if standing == events.NotOwed || a.changed[c].has(bit) {
			continue
		}
		l := a.current[c]
		if l == nil {
			l = &looked{}
			a.current[c] = l
		}
		l.known.set(bit)
		if older := a.previous[c]; older != nil {
			older.known.unset(bit)
		}
		if standing == events.Settled {
			l.settled.set(bit)
		} else {
			l.settled.unset(bit)
		}
	}
	if a.running--; a.running == 0 {
		clear(a.changed)
	}
}
