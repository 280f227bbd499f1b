// Package audit balances the log against the ledgers of all reactions: every event that a
// handler owes an answer is settled, or known to be somewhere, or else it is missing and is
// delivered again.
//
// One instance has the role. Its [Auditor] follows the log behind the relay and keeps one bit
// for each event that a handler owes and has not settled. An open event is accounted for if
// the ledger knows its place: in the poison store, parked, or at the broker until its next
// attempt. All others should be in the handler's queue or in the hands of an instance. No
// broker can be asked for that, so the auditor proves the contrary:
//
//	auditor ── mark ──▶ queue ──▶ an instance: "mark 7 has passed"
//	                              every instance: "I have finished all that I had when it passed"
//
// Queues are first in, first out. So what was published before the mark, and is still open
// once all instances have answered, is nowhere: purged, dropped with its queue, never routed,
// or skipped by the relay. After two such rounds in a row it is missing, and is published to
// that handler's queue again. The ledger makes a false alarm harmless: the second delivery of
// a settled event is recognised.
//
// Without an instance that consumes there is nobody to answer: then an open event is missing
// for certain only if fewer messages wait in the queue than are open.
package audit
