// Package record keeps what a store was made for: the partitions of its log, what carries
// its messages, and the id of the log.
//
// It is one hash, which every serving instance claims at its start and again every few
// seconds ([StoreRecord.ClaimStore], claim.lua): the first one writes it, and whoever differs from it
// later is refused. A store that was emptied gets a new record from the next claim, with a
// new log id, by which readers of the log notice that its positions begin again.
package record
