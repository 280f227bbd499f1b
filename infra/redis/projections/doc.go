// Package projections keeps the read side: the rows of projections, and how far each
// projection has read the log.
//
// [Projections.Commit] writes the rows of a batch of events and the new cursor in one
// script, and only if the stored cursor is still the one that the batch started from. So
// every event is applied exactly once, whatever two instances or a crash do.
package projections
