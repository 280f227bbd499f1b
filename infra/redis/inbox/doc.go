// Package inbox remembers which handler has handled which message, so that a message
// delivered twice is handled once.
//
// What a handler has handled is a set of ids for each stretch of time as long as the TTL.
// Members of a set cost a quarter of the memory and time that a key for each message, with
// a TTL of its own, would cost. A lookup in the current set and the one before reaches
// back at least the TTL; older sets are deleted.
//
// Three things keep Redis off the path of a message:
//
//   - Lookups that wait at the same time share a round trip.
//   - A subscriber looks up a whole batch ahead ([Inbox.Prefetch]), so that most calls of
//     [Inbox.Seen] need none.
//   - [Inbox.Record] returns at once: a write-behind buffer writes later, and knows until
//     then what is on its way.
package inbox
