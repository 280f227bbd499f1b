package router

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/pitwheel/pitwheel/events"
)

// Ledger records, for each reaction, which events of the log it has settled: exactly, and
// permanently. Implementations are safe for concurrent use.
type Ledger interface {
	// BeginLedger begins a handler's ledger with a term, unless it has begun; a term whose
	// types differ from those of the last one is added. It returns all terms, in order:
	// those of the first instance that has begun them.
	BeginLedger(ctx context.Context, handler string, t events.LedgerTerm) ([]events.LedgerTerm, error)
	// Standing returns what the ledger says about an event. What Settle was called with in
	// this process counts at once. An event that is not the log's, because there is no such
	// partition, is not owed; nor is any before BeginLedger.
	Standing(ctx context.Context, handler string, at events.LogPosition) (events.Standing, error)
	// Settle settles an event, and forgets its place. It returns at once: SyncLedger waits.
	// Settling an event again, or one that the handler does not owe, changes nothing.
	Settle(handler string, at events.LogPosition, how events.Settlement)
	// SyncLedger returns nil once everything that Settle was called with before, for the
	// handler, is stored. Calls at the same time share a write. After an error it may be
	// called again; what is not stored is kept, and tried again.
	SyncLedger(ctx context.Context, handler string) error
	// SetPlace records where an open event is. The zero Place forgets it. Of an event that is
	// settled, or that the handler does not owe, nothing is recorded.
	SetPlace(ctx context.Context, handler string, at events.LogPosition, p events.Place) error
	// Attend tells for 30 s that an instance consumes the handler's queue, and that it has
	// finished everything that it had received when the mark of the given number arrived,
	// 0 for none. It returns the number of the last mark that has arrived.
	Attend(ctx context.Context, handler, instance string, cleared uint64) (passed uint64, err error)
	// Leave ends what Attend has told.
	Leave(ctx context.Context, handler, instance string) error
	// MarkPassed records that a mark has arrived. An earlier number than the last one
	// changes nothing.
	MarkPassed(ctx context.Context, handler string, mark uint64) error
}

// AuditLedger is what the auditor needs of the ledger: one instance at a time writes.
type AuditLedger interface {
	// LedgerState returns a handler's ledger without its bits.
	LedgerState(ctx context.Context, handler string) (events.LedgerState, error)
	// LedgerBits returns the bits of chunks, 1 for a settled position: nil for a chunk in
	// which nothing is settled, or that the watermark has passed. A chunk may be shorter
	// than events.ChunkPositions bits; what is left out is 0.
	LedgerBits(ctx context.Context, handler string, chunks []events.LedgerChunk) ([][]byte, error)
	// LedgerPlaces returns the places of all open events that have one.
	LedgerPlaces(ctx context.Context, handler string) (map[events.LogPosition]events.Place, error)
	// AdvanceLedger moves the audit of a handler forward, and drops the chunks that the
	// watermark has passed. If another instance has done so, or the ledger has not begun, the
	// error has the code CURSOR_MOVED and nothing is written. That may also follow an advance
	// of one's own whose reply was lost.
	AdvanceLedger(ctx context.Context, handler string, a events.LedgerAdvance) error
	// SendMark returns the number of the next mark.
	SendMark(ctx context.Context, handler string) (uint64, error)
	// LedgerRound returns how far the marks have been answered.
	LedgerRound(ctx context.Context, handler string) (events.LedgerRound, error)
	// SaveLedgerReport replaces the report of a handler.
	SaveLedgerReport(ctx context.Context, r events.LedgerReport) error
	// LedgerReports returns the last report of every handler, by name.
	LedgerReports(ctx context.Context) (map[string]events.LedgerReport, error)
}

// LedgerAdmin is what it takes to give the ledger of a former handler to another one, or to
// remove it. No instance may run the former handler meanwhile; the other one may.
type LedgerAdmin interface {
	// RenameLedger gives what a handler has settled and owes to another one, and removes its
	// ledger: the other handler's ledger is the two of them joined ([events.JoinLedgers]), and
	// of an event that has two places, the other handler's stays. If that is interrupted, it
	// may be called again. A ledger that has not begun changes nothing.
	RenameLedger(ctx context.Context, from, to string) error
	// RemoveLedger removes a handler's ledger, its places and its report. What does not exist
	// is not an error.
	RemoveLedger(ctx context.Context, handler string) error
}

// Marker is what the auditor needs of a transport.
type Marker interface {
	// Mark publishes a message that only the subscriber of the queue receives, after
	// everything that was published before to the topic, as far as the queue receives it,
	// and into the queue itself. It returns when the broker has confirmed it. A queue that
	// does not exist is an error with the code NOT_FOUND: nothing is declared.
	Mark(ctx context.Context, topic, queue string, msg *message.Message) error
	// QueueDepth returns how many messages wait in a queue that no consumer has received,
	// delayed ones not included. exists is false if there is no such queue.
	QueueDepth(ctx context.Context, topic, queue string) (n int, exists bool, err error)
}

// Flusher is what the auditor needs of a [Subscriber].
type Flusher interface {
	// Flush returns nil once every message that was received before the call is acked, and
	// its acknowledgement sent, or was given back to the broker. A message that was nacked
	// counts as received until then.
	Flush(ctx context.Context) error
}
