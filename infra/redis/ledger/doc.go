// Package ledger remembers for each reaction which events of the log it has settled, exactly
// and permanently, for less than a bit an event.
//
// The positions of a partition have no gaps. So a watermark says that everything up to it is
// settled, and beyond it each position is a bit in a chunk of 4,096. A chunk is deleted when
// the watermark has passed it; what arrives later for it changes nothing.
//
// Three things keep Redis off the path of a message, as in package inbox:
//
//   - [Ledger.Settle] gathers bits in memory. They are written together, in one script for
//     all chunks of a handler: before acknowledgements are sent ([Ledger.SyncLedger], whose
//     callers share a write), or a moment later by themselves.
//   - A subscriber looks up a whole batch ahead ([Ledger.Prefetch]), so that most calls of
//     [Ledger.Standing] need no round trip.
//   - Lookups that wait at the same time share a round trip.
//
// # Keys of a handler
//
// All of them are in one slot of a Redis Cluster.
//
//	ledger:{HANDLER}             hash: the fields below; without "terms" the ledger has not begun
//	ledger:{HANDLER}:3:7         string: chunk 7 of partition 3, up to 512 bytes
//	ledger:{HANDLER}:places      hash: partition:position → kind, or kind:until in ms
//	ledger:{HANDLER}:instances   hash: instance → when it counts as dead in ms:cleared mark
//
//	terms           what the handler owes, as JSON
//	b, w, a         cursors: where the ledger begins, the watermark, and how far it is audited
//	x               cursor: the first chunk of each partition that is not yet deleted
//	e, h, d         how many events it owes up to a, has handled and has discarded
//	sent, passed    numbers of the last mark that was sent, and that has arrived
//
// A cursor is a text with 16 digits for each partition, so that a script finds a partition's
// position without reading the others.
package ledger
