package events

import (
	"slices"
	"time"
)

// LogPosition names an event by its place in the log. A position is used once: also after a
// part of the log was lost, no other event gets it.
type LogPosition struct {
	// Log is the id of the log; "" is the log that the store has now.
	Log string
	// Partition is the number of the log's partition, from 0 on.
	Partition int
	// Position is that in the partition: 1, 2, 3, …
	Position uint64
}

// Standing is what a handler's ledger says about an event.
type Standing uint8

const (
	// NotOwed means that the event is older than the handler's ledger, which says nothing about it.
	NotOwed Standing = iota
	// Open means that the handler has neither handled nor discarded it.
	Open
	// Settled means that the handler has handled it, or an operator has discarded it.
	Settled
)

// Settlement is how an event was settled.
type Settlement uint8

const (
	// Handled means that the handler has succeeded.
	Handled Settlement = iota
	// Discarded means that an operator has discarded the poison message.
	Discarded
)

// PlaceKind is the kind of a [Place].
type PlaceKind string

const (
	// PlacePoison is in the poison queue, or in the poison store.
	PlacePoison PlaceKind = "poison"
	// PlaceParked is parked behind a failed message of its key.
	PlaceParked PlaceKind = "parked"
	// PlaceDelayed is at the broker, where it waits for its next attempt until [Place].Until.
	PlaceDelayed PlaceKind = "delayed"
	// PlaceQueued is put into the handler's queue again at [Place].Until, later than the relay
	// has published it.
	PlaceQueued PlaceKind = "queued"
	// PlaceMissing is nowhere. The auditor has found that at [Place].Until.
	PlaceMissing PlaceKind = "missing"
)

// Place is where an open event is, if not where the relay has put it. The zero value is "in
// the handler's queue, or being handled".
type Place struct {
	Kind PlaceKind
	// Until is the time described with the kind, to a millisecond; zero for a kind that has none.
	Until time.Time
}

// ChunkPositions is how many positions a chunk of a ledger covers: chunk n has those from
// n × ChunkPositions + 1 on, each as one bit, the first one as the most significant bit of
// the first byte.
const ChunkPositions = 4096

// LedgerChunk names a chunk of a handler's ledger.
type LedgerChunk struct {
	Partition int
	Number    uint64
}

// ChunkOf returns the chunk of a position, and which of its bits stands for it.
func ChunkOf(at LogPosition) (c LedgerChunk, bit int) {
	return LedgerChunk{at.Partition, (at.Position - 1) / ChunkPositions}, int((at.Position - 1) % ChunkPositions)
}

// LedgerTerm says which events a handler owes an answer from some point of the log on, until
// the next term begins.
type LedgerTerm struct {
	// After is the cursor that the term begins after.
	After Cursor `json:"after"`
	// Types are the wire names of the events that the handler reacts to.
	Types []string `json:"types"`
}

// AddLedgerTerm returns terms with t at the end, its types sorted, unless the last term has the
// same types. A term never begins before the one that it follows.
func AddLedgerTerm(terms []LedgerTerm, t LedgerTerm) []LedgerTerm {
	types := slices.Compact(slices.Sorted(slices.Values(t.Types)))
	after := t.After.Clone(0)
	if n := len(terms); n > 0 {
		last := terms[n-1]
		if slices.Equal(last.Types, types) {
			return terms
		}
		after = after.Clone(len(last.After))
		for p, position := range last.After {
			after[p] = max(after[p], position)
		}
	}
	return append(slices.Clip(terms), LedgerTerm{After: after, Types: types})
}

// LedgerState is a handler's ledger without its bits.
type LedgerState struct {
	// Terms are what the handler owes, in order; none if the ledger has not begun.
	Terms []LedgerTerm
	// Watermark is the cursor up to which everything that the handler owes is settled.
	Watermark Cursor
	// Audited is the cursor up to which Events were counted.
	Audited Cursor
	// Events is how many events up to Audited the handler owes an answer.
	Events uint64
	// Handled and Discarded are how many events are settled.
	Handled, Discarded uint64
}

// LedgerAdvance moves an audit forward.
type LedgerAdvance struct {
	// From is the Audited cursor that the advance starts from; if the stored one differs,
	// another instance has advanced it, and nothing is written.
	From Cursor
	// FromWatermark is the Watermark that the advance starts from; if the stored one differs,
	// the ledger was joined with another one, and nothing is written. Nil: it may differ.
	FromWatermark Cursor
	// FromTerms is how many terms the caller knows; if the ledger has others, nothing is
	// written, as the caller has not looked at all that the handler owes. 0: it does not matter.
	FromTerms int
	// Audited and Watermark are the cursors afterwards. Watermark never moves back.
	Audited, Watermark Cursor
	// Events is how many events between From and Audited the handler owes an answer.
	Events uint64
}

// LedgerRound is how far a handler's instances have answered the marks of an auditor. A mark
// is a message that an auditor sends through the handler's queue: once it has arrived, and
// every instance has finished what it had received by then, nothing that was in the queue
// before the mark is there any more.
type LedgerRound struct {
	// Sent, Passed and Cleared are the numbers of the last mark that was sent, that has
	// arrived, and for which all living instances have finished; 0 for none. Cleared is 0
	// also while no instance lives.
	Sent, Passed, Cleared uint64
	// Instances are the ids of the living instances that consume the queue, sorted.
	Instances []string
}

// LedgerReport is what an audit has found about a handler. Events = Handled + Discarded +
// Poison + Parked + Waiting + Missing.
type LedgerReport struct {
	Handler   string `json:"handler"`
	Events    uint64 `json:"events"`
	Handled   uint64 `json:"handled"`
	Discarded uint64 `json:"discarded"`
	Poison    uint64 `json:"poison"`
	Parked    uint64 `json:"parked"`
	Waiting   uint64 `json:"waiting"`
	Missing   uint64 `json:"missing"`
	// OldestSeconds is the age of the oldest event that is not settled; 0 if all are.
	OldestSeconds float64 `json:"oldest_seconds"`
	// Healed is how many events were delivered again since the ledger began.
	Healed uint64 `json:"healed"`
	// At is when it was found.
	At time.Time `json:"at"`
}
